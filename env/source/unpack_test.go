package source

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"runtime"
	"strings"
	"testing"

	"appliance/internal/remedy"
)

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func based64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func wrapped(s string) string {
	var lines []string
	for s = based64(s); len(s) > 76; s = s[76:] {
		lines = append(lines, s[:76])
	}
	return strings.Join(append(lines, s), "\r\n") + "\r\n"
}

func quoted(s string) string {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

// multipartOf makes a message of parts: content type (with a transfer encoding behind a blank, if any) and body in turn.
func multipartOf(parts ...string) string {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\n\n", w.Boundary())
	for i := 0; i < len(parts); i += 2 {
		kind, encoding, _ := strings.Cut(parts[i], " ")
		header := textproto.MIMEHeader{}
		if kind != "" {
			header.Set("Content-Type", kind)
		}
		if encoding != "" {
			header.Set("Content-Transfer-Encoding", encoding)
		}
		part, _ := w.CreatePart(header)
		_, _ = part.Write([]byte(parts[i+1]))
	}
	_ = w.Close()
	return b.String()
}

const other = "#cloud-config\npackages: [vim]\n"

func TestUnpack(t *testing.T) {
	const cc = "text/cloud-config"
	bom := "\ufeff" + config
	crlf := strings.ReplaceAll(config, "\n", "\r\n")
	for _, test := range []struct{ name, packed, want string }{
		{"plain", config, config},
		{"plain without a first line", "appliance: {}\n", "appliance: {}\n"},
		{"a byte order mark stays", bom, bom},
		{"CRLF stays", crlf, crlf},
		{"blank", "\ufeff \r\n", ""},
		{"nothing in gzip", gzipped(""), ""},
		{"gzip", gzipped(config), config},
		{"gzip of two members", gzipped(config[:20]) + gzipped(config[20:]), config},
		{"gzip with a byte order mark inside", gzipped(bom), bom},
		{"base64", based64(config), config},
		{"base64 with a line end", based64(config) + "\n", config},
		{"base64 in lines", wrapped(config), config},
		{"base64 with blanks", " " + strings.ReplaceAll(wrapped(config), "\n", " \t\r\n") + " ", config},
		{"gzip with a line end", gzipped(config) + "\n", config},
		{"gzip in base64", based64(gzipped(config)), config},
		{"base64 in gzip", gzipped(wrapped(config)), config},
		{"base64 twice", based64(based64(config)), config},
		{"five layers", based64(gzipped(multipartOf(cc+" base64", wrapped(gzipped(config))))), config},
		{"MIME by type", multipartOf("text/plain", "hello", cc, config), config},
		{"MIME by type without a first line", multipartOf(cc, "appliance: {}\n"), "appliance: {}\n"},
		{"MIME by first line", multipartOf("text/x-shellscript", "#!/bin/sh\n", "text/plain", config), config},
		{"MIME without types", multipartOf("", config), config},
		{"MIME in base64", multipartOf(cc+" base64", wrapped(config)), config},
		{"MIME in quoted-printable", multipartOf(cc+" quoted-printable", quoted(config+"# ümläut\n")), strings.ReplaceAll(config+"# ümläut\n", "\n", "\r\n")},
		{"MIME 8bit", multipartOf(cc+" 8bit", config), config},
		{"MIME with a part in gzip", multipartOf("application/gzip base64", wrapped(gzipped(config))), config},
		{"MIME in MIME", multipartOf("text/plain", "x", "message/rfc822", multipartOf(cc, config)), config},
		{"MIME beside a message without a config", multipartOf("message/rfc822", multipartOf("text/plain", "x"), cc, config), config},
		{"multipart in multipart", nested(config), config},
		{"MIME of a mailbox", "From nobody Mon Nov 23 05:00:00 2026\n" + multipartOf(cc, config), config},
		{"MIME with other headers first", "Subject: seed\nX-Long: a\n b\n" + multipartOf(cc, config), config},
		{"MIME with CRLF", "MIME-Version: 1.0\r\nContent-Type: text/cloud-config\r\n\r\n" + config, config},
		{"the part with the appliance", multipartOf(cc, other, cc, config, cc, other), config},
		{"the part with the appliance in quotes", multipartOf(cc, other, cc, "#cloud-config\n\"appliance\" : {}\n"), "#cloud-config\n\"appliance\" : {}\n"},
		{"an appliance further in does not count", multipartOf(cc, "#cloud-config\nx:\n  appliance: 1\n", cc, config), config},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := unpack([]byte(test.packed), 1<<20)
			if err != nil || string(got) != test.want {
				t.Errorf("unpack = %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

// nested has a whole multipart as a part.
func nested(s string) string {
	inner := multipartOf("text/plain", "x", "text/cloud-config", s)
	header, body, _ := strings.Cut(inner, "\n\n")
	kind := strings.TrimPrefix(strings.Split(header, "\n")[0], "Content-Type: ")
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	fmt.Fprintf(&b, "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=%q\n\n", w.Boundary())
	part, _ := w.CreatePart(textproto.MIMEHeader{"Content-Type": {kind}})
	_, _ = part.Write([]byte(body))
	_ = w.Close()
	return b.String()
}

func TestUnpackRefuses(t *testing.T) {
	const cc = "text/cloud-config"
	whole := multipartOf(cc, config)
	deep := config
	for range maxLayers + 1 {
		deep = gzipped(deep)
	}
	damagedGzip := []byte(gzipped(config))
	damagedGzip[len(damagedGzip)-6] ^= 0xff // the checksum
	const limit = 64 << 10
	bomb := gzipped(strings.Repeat("# boom\n", limit))
	for _, test := range []struct{ name, packed, says string }{
		{"gzip, cut off", gzipped(config)[:30], "gzip, but cut off"},
		{"gzip, only its magic", "\x1f\x8b", "gzip, but cut off"},
		{"gzip, damaged", string(damagedGzip), "gzip, but damaged"},
		{"gzip with something behind", gzipped(config) + "garbage garbage", "gzip, but damaged"},
		{"base64, cut off", based64(config + "#" + strings.Repeat("x", 20))[:41], "base64, but damaged"},
		{"a bomb", bomb, "larger than"},
		{"a bomb in base64", based64(bomb), "larger than"},
		{"bombs in parts", multipartOf(slicesOf(10, cc, gzipped(config+strings.Repeat("#", limit/2)))...), "larger than"},
		{"many layers", deep, "layers"},
		{"many parts", multipartOf(slicesOf(maxParts+1, "text/plain", "x")...), "parts"},
		{"MIME without a config", multipartOf("text/plain", "hello"), "no part"},
		{"MIME, cut off in a part", whole[:len(whole)-70], "MIME, but cut off"},
		{"MIME, cut off behind its header", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n", "MIME, but cut off"},
		{"MIME, cut off in its base64", "Content-Type: text/cloud-config\nContent-Transfer-Encoding: base64\n\n" + based64(config)[:41], "MIME, but cut off"},
		{"MIME with a part in gzip, cut off", multipartOf(cc, gzipped(config)[:30]), "gzip, but cut off"},
		{"two configs for us", multipartOf(cc, config, cc, config), "2 parts with a #cloud-config, 2 of them"},
		{"two configs for others", multipartOf(cc, other, cc, other), "2 parts with a #cloud-config, 0 of them"},
		{"a script", "#!/bin/sh\necho geheim\n", "a script"},
		{"a script in gzip", gzipped("#!/bin/sh\necho geheim\n"), "a script"},
		{"a script named a config", multipartOf(cc, "#!/bin/sh\necho geheim\n"), "a script"},
		{"HTML", " <html>geheim</html>", "HTML"},
		{"an include", "#include\nhttp://geheim\n", "#include"},
		{"a config archive", "#cloud-config-archive\n- geheim\n", "#cloud-config-archive"},
		{"a template", "## template: jinja\n#cloud-config\n", "a template"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := unpack([]byte(test.packed), limit)
			if err == nil || got != nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("unpack = %q, %v", got, err)
			}
			if strings.Contains(err.Error(), "geheim") {
				t.Errorf("the error quotes the document: %v", err)
			}
			if remedy.Of(err) == "" && test.name != "many layers" && test.name != "many parts" {
				t.Errorf("there is no remedy for %v", err)
			}
		})
	}
}

func slicesOf(n int, pair ...string) (all []string) {
	for range n {
		all = append(all, pair...)
	}
	return all
}

func TestABombCostsLittleMemory(t *testing.T) {
	const limit = 256 << 10
	bomb := gzipped(strings.Repeat("\x00", 64*limit))
	for name, packed := range map[string]string{
		"gzip":       bomb,
		"gzip twice": gzipped(bomb),
		"parts":      multipartOf(slicesOf(50, "application/gzip", bomb)...),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := unpack([]byte(packed), limit); err == nil {
				t.Error("a bomb is taken")
			}
			runtime.ReadMemStats(&after)
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 16*limit {
				t.Errorf("it took %d bytes", spent)
			}
		})
	}
}

func FuzzUnpack(f *testing.F) {
	for _, seed := range []string{
		config, "\ufeff" + config, gzipped(config), based64(gzipped(config)), wrapped(config),
		multipartOf("text/cloud-config base64", wrapped(config), "text/plain", "x"), nested(config), "#!", "<", "MIME-Version: 1.0\n\n", "From \n", "\x1f\x8b",
	} {
		f.Add([]byte(seed))
	}
	const limit = 4096
	f.Fuzz(func(t *testing.T, packed []byte) {
		if len(packed) > limit {
			t.Skip("no source hands out that much")
		}
		got, err := unpack(packed, limit)
		switch {
		case err != nil && got != nil:
			t.Errorf("there is a document and the error %v", err)
		case len(got) > limit:
			t.Errorf("the document has %d bytes", len(got))
		case err == nil && (isGzip(got) || foreignKind(trimmed(got)) != ""):
			t.Errorf("%q is still packed, or no document", got)
		}
	})
}
