package admin_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/openapi.json")

// openAPI is the document as far as the tests look at it.
type openAPI struct {
	Paths      map[string]map[string]operation
	Aliases    map[string]string `json:"x-path-aliases"`
	Components struct{ Schemas map[string]*schema }
}

type operation struct {
	Summary    string
	Actions    struct{ All, OneOf []string }        `json:"x-actions"`
	Root       string                               `json:"x-principal"`
	Body       *struct{ Content content }           `json:"requestBody"`
	Answers    map[string]struct{ Content content } `json:"responses"`
	Parameters []struct{ Name, In string }
}

type content map[string]struct{ Schema *schema }

type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Properties map[string]*schema
	Required   []string
	Items      *schema
	Additional json.RawMessage `json:"additionalProperties"`
}

func readDocument(t *testing.T) *openAPI {
	t.Helper()
	w := request{method: "GET", target: "/admin/openapi.json", id: "-"}.do(t, handler(&node{}, io.Discard, false))
	d := new(openAPI)
	if err := json.Unmarshal(w.Body.Bytes(), d); w.Code != 200 || err != nil || w.Header().Get("Content-Type") != "application/json" {
		t.Fatal(w.Code, err)
	}
	return d
}

// TestDocument: what is kept in docs is what is served.
func TestDocument(t *testing.T) {
	const path = "../../docs/openapi.json"
	w := request{method: "GET", target: "/admin/openapi.json", id: "-"}.do(t, handler(&node{}, io.Discard, false))
	if *update {
		if err := os.WriteFile(path, w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(kept, w.Body.Bytes()) {
		t.Errorf("%s is not what the routes are: go test ./gateway/admin -run Document -update (%v)", path, err)
	}
}

// TestDocumentAndRoutes: what the document has is served, and by no other method; and what is tried of the
// routes is in the document.
func TestDocumentAndRoutes(t *testing.T) {
	d := readDocument(t)
	h := handler(&node{}, io.Discard, false)
	for path, methods := range d.Paths {
		target := filled(path)
		if d.Paths["/admin/v1/credentials/{id}"] == nil || d.Aliases["/admin/"] != "/admin/v1/" {
			t.Fatal("the document lacks routes or aliases")
		}
		inner := path == "/admin/v1/credentials/revoke-all" // is an ID to the methods of credentials/{id}
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"} {
			op, has := methods[strings.ToLower(method)]
			if _, get := methods["get"]; method == "HEAD" && get {
				continue // net/http answers HEAD by GET
			}
			want := 405
			if has {
				want = 403
			}
			if _, byID := d.Paths["/admin/v1/credentials/{id}"][strings.ToLower(method)]; inner && (byID || method == "HEAD") {
				want = 403
			}
			for _, target := range []string{target, strings.Replace(target, d.Aliases["/admin/"], "/admin/", 1)} {
				if w := (request{method: method, target: target, id: "-"}).do(t, h); w.Code != want {
					t.Errorf("%s %s: %d, want %d", method, target, w.Code, want)
				}
			}
			if has {
				checkOperation(t, d, method+" "+path, path, &op)
			}
		}
	}
	for _, row := range takenRights() {
		if _, ok := d.Paths[row.route()][strings.ToLower(row.method)]; !ok {
			t.Errorf("%s %s is not in the document", row.method, row.path)
		}
	}
}

func checkOperation(t *testing.T, d *openAPI, name, path string, op *operation) {
	t.Helper()
	if op.Summary == "" {
		t.Errorf("%s has no summary", name)
	}
	for _, status := range []string{"200", "400", "403", "default"} {
		if len(op.Answers[status].Content) != 1 {
			t.Errorf("%s does not say what is answered with %s", name, status)
		}
	}
	inPath := 0
	for _, p := range op.Parameters {
		if p.In == "path" {
			inPath++
		}
	}
	if strings.Contains(path, "{") != (inPath == 1) || strings.HasSuffix(path, "gc/status") != (len(op.Parameters) > inPath) {
		t.Errorf("%s has parameters %v", name, op.Parameters)
	}
	for _, s := range d.Components.Schemas {
		for property, of := range s.Properties {
			if of.Ref != "" && d.resolve(of) == nil {
				t.Errorf("%s: %s refers to %s, which there is not", name, property, of.Ref)
			}
		}
	}
}

func (d *openAPI) resolve(s *schema) *schema {
	if s != nil && s.Ref != "" {
		return d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

// TestDocumentAndBodies holds what routes take and answer against the document.
func TestDocumentAndBodies(t *testing.T) {
	d := readDocument(t)
	for _, row := range takenRights() {
		op := d.Paths[row.route()][strings.ToLower(row.method)]
		name := row.method + " " + row.path + " " + row.body
		if (op.Body != nil) != (row.body != "") {
			t.Errorf("%s: the document has a body: %v", name, op.Body != nil)
		} else if row.body != "" {
			if err := d.fits(op.Body.Content["application/json"].Schema, row.body); err != nil {
				t.Errorf("%s: the body: %v", name, err)
			}
		}
		status, answer := newStore(t).askNarrowed(t, &row)
		if status != 200 {
			t.Errorf("%s: %d %s", name, status, answer)
			continue
		}
		if as, ok := op.Answers["200"].Content["application/json"]; ok {
			if err := d.fits(as.Schema, answer); err != nil {
				t.Errorf("%s: the answer %s: %v", name, answer, err)
			}
		}
		_, answer = newStore(t).ask(t, &row)
		if err := d.fits(op.Answers["403"].Content["application/json"].Schema, answer); err != nil {
			t.Errorf("%s: the refusal %s: %v", name, answer, err)
		}
	}
}

func (d *openAPI) fits(s *schema, text string) error {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return err
	}
	return d.check(s, value, "")
}

// check says what of a JSON value a schema does not have. null stands for an empty list or map.
func (d *openAPI) check(s *schema, value any, at string) error {
	if s = d.resolve(s); s == nil {
		return fmt.Errorf("%s has no schema", at)
	}
	switch v := value.(type) {
	case nil:
		if s.Type == "array" || s.Type == "object" {
			return nil
		}
	case string:
		if s.Type == "string" {
			return nil
		}
	case bool:
		if s.Type == "boolean" {
			return nil
		}
	case float64:
		if s.Type == "number" || s.Type == "integer" && v == float64(int64(v)) {
			return nil
		}
	case []any:
		if s.Type != "array" {
			break
		}
		for i, item := range v {
			if err := d.check(s.Items, item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		if s.Type == "object" {
			return d.checkObject(s, v, at)
		}
	}
	return fmt.Errorf("%s is a %T, not a %s", at, value, s.Type)
}

func (d *openAPI) checkObject(s *schema, v map[string]any, at string) error {
	if s.Properties == nil && string(s.Additional) != "false" {
		more := new(schema)
		if err := json.Unmarshal(s.Additional, more); err != nil {
			return err
		}
		for name, item := range v {
			if err := d.check(more, item, at+"."+name); err != nil {
				return err
			}
		}
		return nil
	}
	for name, item := range v {
		of, ok := s.Properties[name]
		if !ok {
			return fmt.Errorf("%s.%s is not in the schema", at, name)
		}
		if err := d.check(of, item, at+"."+name); err != nil {
			return err
		}
	}
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s.%s is required", at, name)
		}
	}
	return nil
}
