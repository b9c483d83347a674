// Package crl reads lists of revoked certificates of both versions.
package crl

import (
	"crypto/x509"
	"encoding/asn1"
)

// Parse reads one list in DER. Beside what crypto/x509 reads it takes the first version (RFC 5280 section 5.1.2.1), which
// openssl ca writes where its configuration has no crl_extensions: such a list has neither number nor extensions, and all
// else is the same. Raw and RawTBSRevocationList are as they were signed.
func Parse(der []byte) (*x509.RevocationList, error) {
	list, err := x509.ParseRevocationList(der)
	if err == nil {
		return list, nil
	}
	second, signed := asSecond(der)
	if second == nil {
		return nil, err
	}
	if list, err = x509.ParseRevocationList(second); err != nil {
		return nil, err
	}
	list.Raw, list.RawTBSRevocationList = der, signed
	return list, nil
}

// asSecond writes a list of the first version as one of the second, which differs by a number at its beginning. It answers
// nil for anything else, and beside it the part that is signed.
func asSecond(der []byte) (second, signed []byte) {
	var list struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) > 0 || list.TBS.Tag != asn1.TagSequence || !list.TBS.IsCompound {
		return nil, nil
	}
	var first asn1.RawValue
	if _, err := asn1.Unmarshal(list.TBS.Bytes, &first); err != nil || first.Tag != asn1.TagSequence { // it says its version
		return nil, nil
	}
	signed = list.TBS.FullBytes
	version := []byte{asn1.TagInteger, 1, 1}
	list.TBS = asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(version, list.TBS.Bytes...)}
	second, err := asn1.Marshal(list)
	if err != nil {
		return nil, nil
	}
	return second, signed
}
