package faults

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Sizes of contents in bytes. Up to inlineMax an object lies inside its version record.
const (
	lineBytes = 64
	inlineMax = 16 << 10
	partBytes = 5 << 20
)

// content is what one writer writes once. Every line of it names the writer and its own
// place, so that bytes of two contents, or bytes moved, cannot pass for one.
type content struct {
	client, seq int
	size        int
	parts       int // 0 is one PUT
}

// String is the name of the content; it has neither '=' nor ','.
func (c content) String() string { return fmt.Sprintf("%d-%d-%d-%d", c.client, c.seq, c.size, c.parts) }

func parseContent(name string) (c content, err error) {
	_, err = fmt.Sscanf(name, "%d-%d-%d-%d", &c.client, &c.seq, &c.size, &c.parts)
	return c, err
}

// bytes is the content.
func (c content) bytes() []byte {
	line := fmt.Appendf(nil, "%-*s %010d\n", lineBytes-12, c, 0)
	text := make([]byte, 0, c.size+lineBytes)
	for n := 0; len(text) < c.size; n++ {
		for i, rest := lineBytes-2, n; i >= lineBytes-11; i, rest = i-1, rest/10 {
			line[i] = byte('0' + rest%10)
		}
		text = append(text, line...)
	}
	return text[:c.size]
}

// cuts are the parts of a multipart upload.
func (c content) cuts() [][]byte {
	text, cuts := c.bytes(), make([][]byte, c.parts)
	for i := range cuts {
		n := min(partBytes, len(text))
		if i == c.parts-1 {
			n = len(text)
		}
		cuts[i], text = text[:n], text[n:]
	}
	return cuts
}

// etag is the ETag that S3 gives to the content, quoted.
func (c content) etag() string {
	if c.parts == 0 {
		sum := md5.Sum(c.bytes())
		return `"` + hex.EncodeToString(sum[:]) + `"`
	}
	var sums []byte
	for _, cut := range c.cuts() {
		sum := md5.Sum(cut)
		sums = append(sums, sum[:]...)
	}
	sum := md5.Sum(sums)
	return fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(sum[:]), c.parts)
}

// recognise gives the name of the content that text is, all of it and nothing else.
func recognise(text []byte) (string, error) {
	name, _, _ := strings.Cut(string(text[:min(len(text), lineBytes)]), " ")
	c, err := parseContent(name)
	if err != nil {
		return "", fmt.Errorf("%d bytes that begin with %q are no content", len(text), name)
	}
	if want := c.bytes(); !bytes.Equal(text, want) {
		at := 0
		for at < min(len(text), len(want)) && text[at] == want[at] {
			at++
		}
		return "", fmt.Errorf("%d bytes begin as content %s and differ from its %d bytes at %d", len(text), c, len(want), at)
	}
	return c.String(), nil
}

func TestContent(t *testing.T) {
	a := content{client: 1, seq: 2, size: 300_000}
	b := content{client: 2, seq: 2, size: 300_000}
	mixed := append(append([]byte{}, a.bytes()[:131072]...), b.bytes()[131072:]...)
	for _, c := range []struct {
		name string
		text []byte
		want string
	}{
		{"whole", a.bytes(), a.String()},
		{"short", a.bytes()[:299_999], ""},
		{"long", append(a.bytes(), 'x'), ""},
		{"mixed", mixed, ""},
		{"nothing", nil, ""},
		{"other", []byte("hello"), ""},
		{"moved", append(append(append([]byte{}, a.bytes()[:64]...), a.bytes()[128:]...), a.bytes()[64:128]...), ""},
	} {
		if got, err := recognise(c.text); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	two := content{client: 1, seq: 1, size: partBytes + 100, parts: 2}
	if cuts := two.cuts(); len(cuts[0]) != partBytes || len(cuts[1]) != 100 {
		t.Errorf("cuts of %d and %d bytes", len(cuts[0]), len(cuts[1]))
	}
	if !strings.HasSuffix(two.etag(), `-2"`) || a.etag() == b.etag() {
		t.Error("ETags")
	}
}

// readAll reads a body of a length that was announced. An error means that it broke off.
func readAll(body io.ReadCloser) ([]byte, error) {
	defer body.Close()
	return io.ReadAll(body)
}
