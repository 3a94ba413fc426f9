package s3xml

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrMalformed says that a document is no XML, or not the one that was asked for.
var ErrMalformed = errors.New("malformed document")

// UnsupportedError names an element that S3 knows and this store does not.
type UnsupportedError struct{ Element string }

// Error names the element.
func (e *UnsupportedError) Error() string { return "element " + e.Element + " is not implemented" }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

const (
	depthMax = 8
	nameMax  = 64 // bytes of an element's name
)

// parser reads one document front to back. It knows the part of XML that request
// documents are made of.
type parser struct {
	rest     []byte
	open     []string // names of the elements that are open
	budget   int      // elements that may still come
	selfShut bool     // the element that was opened last closed itself
	typed    bool     // elements may say of what type they are: xsi:type
}

// newParser checks the text as a whole and steps over byte order mark and declaration.
func newParser(text []byte, elementsMax int) (*parser, error) {
	if !utf8.Valid(text) {
		return nil, malformed("not UTF-8")
	}
	p := &parser{rest: bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), budget: elementsMax}
	if bytes.HasPrefix(p.rest, []byte("<?xml")) {
		declaration, after, ok := bytes.Cut(p.rest, []byte("?>"))
		if !ok || len(declaration) > 128 || bytes.IndexByte(declaration[1:], '<') >= 0 {
			return nil, malformed("declaration")
		}
		if i := bytes.Index(declaration, []byte("encoding")); i >= 0 &&
			!bytes.Contains(bytes.ToUpper(declaration[i:]), []byte("UTF-8")) {
			return nil, malformed("encoding")
		}
		p.rest = after
	}
	return p, nil
}

// document reads the root element, whose children are given to child, and demands that
// nothing follows it.
func (p *parser) document(root string, child func(name string) error) error {
	if err := p.blank(); err != nil {
		return err
	}
	name, err := p.start()
	if err != nil {
		return err
	}
	if name != root {
		return malformed("root %s, not %s", name, root)
	}
	if err := p.children(child); err != nil {
		return err
	}
	if err := p.blank(); err != nil {
		return err
	}
	if len(p.rest) > 0 {
		return malformed("text after the document")
	}
	return nil
}

// children reads the elements inside the one that is open, up to its end tag. child
// must read each to its end, by text or children.
func (p *parser) children(child func(name string) error) error {
	if p.selfShut {
		return p.shutSelf()
	}
	for {
		if err := p.blank(); err != nil {
			return err
		}
		if bytes.HasPrefix(p.rest, []byte("</")) {
			return p.stop()
		}
		name, err := p.start()
		if err != nil {
			return err
		}
		if err := child(name); err != nil {
			return err
		}
	}
}

// text reads the text inside the element that is open, up to its end tag. Elements
// inside it are an error.
func (p *parser) text() (string, error) {
	if p.selfShut {
		return "", p.shutSelf()
	}
	var out []byte
	for {
		i := bytes.IndexAny(p.rest, "<&")
		if i < 0 {
			return "", malformed("element not closed")
		}
		var err error
		if out, err = appendRaw(out, p.rest[:i]); err != nil {
			return "", err
		}
		p.rest = p.rest[i:]
		switch {
		case p.rest[0] == '&':
			r, err := p.reference()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		case bytes.HasPrefix(p.rest, []byte("</")):
			return string(out), p.stop()
		case bytes.HasPrefix(p.rest, []byte("<![CDATA[")):
			data, after, ok := bytes.Cut(p.rest[len("<![CDATA["):], []byte("]]>"))
			if !ok {
				return "", malformed("CDATA not closed")
			}
			if out, err = appendRaw(out, data); err != nil {
				return "", err
			}
			p.rest = after
		case bytes.HasPrefix(p.rest, []byte("<!--")):
			if err := p.comment(); err != nil {
				return "", err
			}
		default:
			return "", malformed("element inside of text")
		}
	}
}

// appendRaw appends text as it stands between tags. Line ends become line feeds, as
// XML demands; a carriage return that is meant is written as a reference.
func appendRaw(out, raw []byte) ([]byte, error) {
	for i, c := range raw {
		switch {
		case c == '\r' && i+1 < len(raw) && raw[i+1] == '\n':
		case c == '\r':
			out = append(out, '\n')
		case c < 0x20 && c != '\t' && c != '\n':
			return nil, malformed("control character")
		default:
			out = append(out, c)
		}
	}
	return out, nil
}

// start reads a start tag and gives the element's name.
func (p *parser) start() (string, error) {
	if len(p.rest) < 2 || p.rest[0] != '<' {
		return "", malformed("element expected")
	}
	if p.budget--; p.budget < 0 {
		return "", malformed("too many elements")
	}
	if len(p.open) == depthMax {
		return "", malformed("elements nested too deep")
	}
	p.rest = p.rest[1:]
	name, err := p.name()
	if err != nil {
		return "", err
	}
	for {
		spaced := p.space()
		switch {
		case bytes.HasPrefix(p.rest, []byte(">")):
			p.rest, p.selfShut = p.rest[1:], false
			p.open = append(p.open, name)
			return name, nil
		case bytes.HasPrefix(p.rest, []byte("/>")):
			p.rest, p.selfShut = p.rest[2:], true
			p.open = append(p.open, name)
			return name, nil
		case !spaced:
			return "", malformed("tag %s", name)
		}
		if err := p.attribute(); err != nil {
			return "", err
		}
	}
}

// attribute reads one attribute. Only declarations of namespaces, and types where they
// belong, mean nothing; a default namespace must be that of S3.
func (p *parser) attribute() error {
	name, err := p.name()
	if err != nil {
		return err
	}
	p.space()
	if !bytes.HasPrefix(p.rest, []byte("=")) {
		return malformed("attribute %s", name)
	}
	p.rest = p.rest[1:]
	p.space()
	if len(p.rest) == 0 || p.rest[0] != '"' && p.rest[0] != '\'' {
		return malformed("attribute %s", name)
	}
	value, after, ok := bytes.Cut(p.rest[1:], p.rest[:1])
	if !ok || bytes.IndexByte(value, '<') >= 0 {
		return malformed("attribute %s", name)
	}
	p.rest = after
	switch {
	case name == "xmlns" && (len(value) == 0 || string(value) == namespace):
		return nil
	case strings.HasPrefix(name, "xmlns:"), p.typed && strings.HasSuffix(name, ":type"):
		return nil
	}
	return malformed("attribute %s", name)
}

// stop reads the end tag of the innermost open element.
func (p *parser) stop() error {
	p.rest = p.rest[2:]
	name, err := p.name()
	if err != nil {
		return err
	}
	p.space()
	if !bytes.HasPrefix(p.rest, []byte(">")) || len(p.open) == 0 || p.open[len(p.open)-1] != name {
		return malformed("end tag %s", name)
	}
	p.rest = p.rest[1:]
	p.open = p.open[:len(p.open)-1]
	return nil
}

func (p *parser) shutSelf() error {
	p.selfShut = false
	p.open = p.open[:len(p.open)-1]
	return nil
}

// name reads an element's or attribute's name.
func (p *parser) name() (string, error) {
	n := 0
	for n < len(p.rest) && isName(p.rest[n], n == 0) {
		n++
	}
	if n == 0 || n > nameMax {
		return "", malformed("name")
	}
	name := string(p.rest[:n])
	p.rest = p.rest[n:]
	return name, nil
}

func isName(c byte, first bool) bool {
	switch {
	case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '_':
		return true
	case c >= '0' && c <= '9', c == '-', c == '.', c == ':':
		return !first
	}
	return false
}

// blank steps over white space and comments.
func (p *parser) blank() error {
	for {
		p.space()
		if !bytes.HasPrefix(p.rest, []byte("<!--")) {
			return nil
		}
		if err := p.comment(); err != nil {
			return err
		}
	}
}

func (p *parser) comment() error {
	text, after, ok := bytes.Cut(p.rest[len("<!--"):], []byte("--"))
	if !ok || len(after) == 0 || after[0] != '>' {
		return malformed("comment of %d bytes not closed", len(text))
	}
	p.rest = after[1:]
	return nil
}

// space steps over white space and says whether there was some.
func (p *parser) space() bool {
	n := 0
	for n < len(p.rest) && (p.rest[n] == ' ' || p.rest[n] == '\t' || p.rest[n] == '\n' || p.rest[n] == '\r') {
		n++
	}
	p.rest = p.rest[n:]
	return n > 0
}

// reference reads a character reference or one of XML's five entities. References to
// control characters are taken, although XML 1.0 has none: a key may hold such
// characters, and this is how S3 itself writes them.
func (p *parser) reference() (rune, error) {
	i := bytes.IndexByte(p.rest[:min(len(p.rest), 12)], ';')
	if i < 0 {
		return 0, malformed("reference not closed")
	}
	ref := string(p.rest[1:i])
	p.rest = p.rest[i+1:]
	switch ref {
	case "amp":
		return '&', nil
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "quot":
		return '"', nil
	case "apos":
		return '\'', nil
	}
	digits, ok := strings.CutPrefix(ref, "#")
	base := 10
	if hex, found := strings.CutPrefix(digits, "x"); found {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if !ok || err != nil || n == 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, malformed("reference &%s;", ref)
	}
	return rune(n), nil
}
