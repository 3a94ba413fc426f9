package s3op

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const formType = "multipart/form-data; boundary=XX"

func formText(parts ...string) string {
	return "--XX\r\n" + strings.Join(parts, "\r\n--XX\r\n") + "\r\n--XX--\r\n"
}

func field(name, value string) string {
	return `Content-Disposition: form-data; name="` + name + `"` + "\r\n\r\n" + value
}

func fileOf(name, content string) string {
	return `Content-Disposition: form-data; name="file"; filename="` + name + `"` + "\r\nContent-Type: a/b\r\n\r\n" + content
}

// TestForm reads a form however its bytes come: its fields, and its file to the last byte.
func TestForm(t *testing.T) {
	for _, content := range []string{"", "x", "\r\n", "\r\n--X", "\r\n--XY\r\n", strings.Repeat("0123456789\r\n--", 9000)} {
		text := formText(field("key", "k"), field("Policy", ""), fileOf("dir/f", content), field("submit", "x"))
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "in bytes": iotest.OneByteReader(strings.NewReader(text)), "in halves": iotest.HalfReader(strings.NewReader(text))} {
			f, err := parseForm(formType, r)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := io.ReadAll(f.file)
			if err != nil || string(got) != content {
				t.Errorf("%s: %d bytes of %d came, %v", name, len(got), len(content), err)
			}
			if f.fields["key"] != "k" || f.filename != "f" || f.fileType != "a/b" || len(f.order) != 2 || text[f.offset:][:len(content)] != content {
				t.Errorf("%s: read %+v", name, f)
			}
		}
	}
}

func TestFormCutOff(t *testing.T) {
	text := formText(field("key", "k"), fileOf("f", strings.Repeat("x", 100)))
	for n := range len(text) - len("--\r\n") {
		f, err := parseForm(formType, strings.NewReader(text[:n]))
		if err == nil {
			_, err = io.ReadAll(f.file)
		}
		if err == nil {
			t.Fatalf("a form cut off after %d bytes was taken", n)
		}
	}
}

func TestPostPolicy(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	p, err := parsePostPolicy(encode(`{"expiration":"2026-03-04T06:00:00.000Z","conditions":[{"Key":"k"},["starts-with","$x-amz-meta-a",""],["content-length-range",1,9],["content-length-range",0,5]]}`))
	if err != nil || p.min != 1 || p.max != 5 || len(p.conditions) != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	f := &form{fields: map[string]string{"key": "k", "x-amz-meta-a": "anything", "policy": "p"}, order: []string{"key", "x-amz-meta-a", "policy"}}
	if err := p.check("b", f, now); err != nil {
		t.Error(err)
	}
	if err := p.check("b", f, now.Add(time.Hour)); err == nil {
		t.Error("an expired policy allows")
	}
	f.order = append(f.order, "acl")
	if err := p.check("b", f, now); err == nil {
		t.Error("a field without condition is taken")
	}
}

// FuzzForm reads any bytes as a form: what is read is bounded, and the file is what lies between
// its offset and the delimiter.
func FuzzForm(f *testing.F) {
	f.Add([]byte(formText(field("key", "k"), fileOf("f", "content"))))
	f.Add([]byte(formText(field("key", "k"))))
	f.Fuzz(func(t *testing.T, text []byte) {
		form, err := parseForm(formType, bytes.NewReader(text))
		if err != nil {
			return
		}
		content, err := io.ReadAll(form.file)
		if err != nil {
			return
		}
		rest := text[form.offset:]
		if !bytes.HasPrefix(rest, content) || !bytes.HasPrefix(rest[len(content):], []byte("\r\n--XX")) || bytes.Contains(content, []byte("\r\n--XX")) {
			t.Errorf("%q at %d gave %q", text, form.offset, content)
		}
	})
}

// FuzzPostPolicy reads any text as a policy.
func FuzzPostPolicy(f *testing.F) {
	f.Add(`{"expiration":"2026-03-04T06:00:00Z","conditions":[{"key":"k"},["eq","$acl","private"],["content-length-range",1,9]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePostPolicy(base64.StdEncoding.EncodeToString([]byte(text)))
		if err == nil && (p.min < 0 || p.min > p.max && p.max < 0 || p.expiration.IsZero() && !strings.Contains(text, "0001-01-01")) {
			t.Errorf("%q became %+v", text, p)
		}
	})
}
