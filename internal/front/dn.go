package front

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
)

// attributes have short names in distinguished names: those of RFC 4514 and those that OpenSSL, and so nginx, adds.
var attributes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.42": "GN",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
}

// distinguishedName writes a name as RFC 4514 does. Whatever is not printable ASCII is escaped: the name goes into a
// header field, and who made the certificate chose its bytes.
func distinguishedName(raw []byte) string {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &sequence); err != nil || len(rest) > 0 {
		return "#" + hex.EncodeToString(raw)
	}
	var out strings.Builder
	for i := len(sequence) - 1; i >= 0; i-- {
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		for j, attribute := range sequence[i] {
			if j > 0 {
				out.WriteByte('+')
			}
			writeAttribute(&out, attribute)
		}
	}
	return out.String()
}

func writeAttribute(out *strings.Builder, attribute pkix.AttributeTypeAndValue) {
	oid := attribute.Type.String()
	name, known := attributes[oid]
	value, isText := attribute.Value.(string)
	if !known || !isText {
		der, _ := asn1.Marshal(attribute.Value)
		out.WriteString(oid + "=#" + hex.EncodeToString(der))
		return
	}
	out.WriteString(name + "=")
	for i := range len(value) {
		c := value[i]
		edge := i == 0 && (c == ' ' || c == '#') || i == len(value)-1 && c == ' '
		switch {
		case c < 0x20 || c > 0x7e:
			out.WriteString(`\` + strings.ToUpper(hex.EncodeToString([]byte{c})))
		case edge || strings.IndexByte(`,+"\<>;=`, c) >= 0:
			out.WriteByte('\\')
			out.WriteByte(c)
		default:
			out.WriteByte(c)
		}
	}
}
