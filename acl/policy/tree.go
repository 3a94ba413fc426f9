package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Limits of a document.
const (
	// SizeMax is the size of a document, in bytes: that of an S3 bucket policy.
	SizeMax  = 20 << 10
	depthMax = 8
)

// Error says why a document is refused, in words for its author.
type Error struct{ Why string }

func (e *Error) Error() string { return e.Why }

func refuse(format string, args ...any) error { return &Error{Why: fmt.Sprintf(format, args...)} }

// tree is a JSON value whose objects keep their order and have no name twice.
type tree struct {
	kind  treeKind
	text  string // of a string, number or bool
	names []string
	items []*tree // of a list; of an object, in the order of names
}

type treeKind uint8

const (
	treeText treeKind = iota
	treeNumber
	treeBool
	treeList
	treeObject
)

var errEnd = errors.New("end of a list or object")

// parseTree reads one JSON value and nothing behind it.
func parseTree(text []byte) (*tree, error) {
	if len(text) > SizeMax {
		return nil, refuse("The policy is larger than %d bytes.", SizeMax)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	t, err := readTree(d, 0)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return t, nil
		}
		return nil, refuse("There is something behind the policy.")
	}
	var e *Error
	if errors.As(err, &e) {
		return nil, err
	}
	return nil, refuse("The policy is not valid JSON.")
}

func readTree(d *json.Decoder, depth int) (*tree, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > depthMax {
		return nil, refuse("The policy is nested too deeply.")
	}
	switch v := token.(type) {
	case string:
		return &tree{kind: treeText, text: v}, nil
	case json.Number:
		return &tree{kind: treeNumber, text: v.String()}, nil
	case bool:
		return &tree{kind: treeBool, text: fmt.Sprint(v)}, nil
	case json.Delim:
		return readInside(d, v, depth)
	}
	return nil, refuse("The policy holds a null.")
}

func readInside(d *json.Decoder, open json.Delim, depth int) (*tree, error) {
	switch open {
	case '[':
		t := &tree{kind: treeList}
		for d.More() {
			item, err := readTree(d, depth+1)
			if err != nil {
				return nil, err
			}
			t.items = append(t.items, item)
		}
		_, err := d.Token()
		return t, err
	case '{':
		return readObject(d, depth)
	}
	return nil, errEnd
}

func readObject(d *json.Decoder, depth int) (*tree, error) {
	t := &tree{kind: treeObject}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		if t.member(name) != nil {
			return nil, refuse("The policy has %q twice in one place.", name)
		}
		item, err := readTree(d, depth+1)
		if err != nil {
			return nil, err
		}
		t.names, t.items = append(t.names, name), append(t.items, item)
	}
	_, err := d.Token()
	return t, err
}

// member is the value of a name of an object, nil when it has none.
func (t *tree) member(name string) *tree {
	for i, n := range t.names {
		if n == name {
			return t.items[i]
		}
	}
	return nil
}

// list is the items of a list, or the value alone: policies may leave out the brackets.
func (t *tree) list() []*tree {
	if t.kind == treeList {
		return t.items
	}
	return []*tree{t}
}

// texts are the strings of a list of strings, or the one string.
func (t *tree) texts(element string) ([]string, error) {
	var out []string
	for _, item := range t.list() {
		if item.kind != treeText {
			return nil, refuse("%s must be a string or a list of strings.", element)
		}
		out = append(out, item.text)
	}
	if len(out) == 0 {
		return nil, refuse("%s is an empty list.", element)
	}
	return out, nil
}
