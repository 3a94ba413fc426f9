package meta

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
	"shoal/node/consensus"
)

func (r *rig) putACME(i *AcmeItem) *Result { return r.changeACME(&PutAcmeItem{Item: i}) }

func (r *rig) changeACME(c *PutAcmeItem) *Result {
	return r.sys(&Command_PutAcmeItem{proto.CloneOf(c)})
}

// acme gives an item, or one without name.
func (r *rig) acme(name string) *AcmeItem {
	r.t.Helper()
	a := r.query(consensus.SystemGroup, &Query_AcmeItem{&AcmeItemQuery{Name: name}})
	if err := a.Err("test"); err != nil {
		r.t.Fatal(err)
	}
	return a.GetAcmeItem()
}

func TestACMEItems(t *testing.T) {
	r := newRig(t, Config{})
	if got := r.acme("a"); got.Name != "" || got.Epoch != 0 {
		t.Errorf("an empty store has %v", got)
	}
	first := r.must(r.changeACME(&PutAcmeItem{Item: &AcmeItem{Name: "a", Sealed: []byte("1")}, CreateOnly: true})).GetAcmeItem()
	r.refused(r.changeACME(&PutAcmeItem{Item: &AcmeItem{Name: "a", Sealed: []byte("2")}, CreateOnly: true}), api.ConditionalConflict)
	r.refused(r.changeACME(&PutAcmeItem{Item: &AcmeItem{Name: "a", Sealed: []byte("2")}, IfEpoch: first.Epoch - 1}), api.ConditionalConflict)
	r.refused(r.changeACME(&PutAcmeItem{Item: &AcmeItem{Name: "b", Sealed: []byte("2")}, IfEpoch: first.Epoch}), api.ConditionalConflict)
	second := r.must(r.changeACME(&PutAcmeItem{Item: &AcmeItem{Name: "a", Sealed: []byte("2")}, IfEpoch: first.Epoch})).GetAcmeItem()
	if got := r.acme("a"); second.Epoch <= first.Epoch || got.Epoch != second.Epoch || string(got.Sealed) != "2" {
		t.Errorf("%v after %v: %v", second, first, got)
	}
	r.must(r.sys(&Command_DeleteAcmeItem{&DeleteAcmeItem{Name: "a"}}))
	r.must(r.sys(&Command_DeleteAcmeItem{&DeleteAcmeItem{Name: "a"}}))
	if got := r.acme("a"); got.Name != "" {
		t.Errorf("%v is left", got)
	}
}

func TestACMEItemBounds(t *testing.T) {
	r := newRig(t, Config{})
	for name, i := range map[string]*AcmeItem{
		"nothing":      nil,
		"no name":      {Sealed: []byte("s")},
		"no content":   {Name: "a"},
		"long name":    {Name: strings.Repeat("a", api.ACMENameMax+1), Sealed: []byte("s")},
		"long content": {Name: "a", Sealed: make([]byte, api.ACMESealedMax+1)},
		"odd end":      {Name: "a", Sealed: []byte("s"), Expires: -1},
	} {
		if res := r.putACME(i); api.KindOf(res.Err("test")) != api.InvalidArgument {
			t.Errorf("%s: %v", name, res)
		}
	}
	end := r.now + int64(time.Hour)
	for i := range acmeItemsMax {
		item := &AcmeItem{Name: fmt.Sprintf("n%d", i), Sealed: []byte("s")}
		if i%2 == 0 {
			item.Expires = end
		}
		r.must(r.putACME(item))
	}
	r.refused(r.putACME(&AcmeItem{Name: "more", Sealed: []byte("s")}), api.SlowDown)
	r.must(r.putACME(&AcmeItem{Name: "n1", Sealed: []byte("again")}))
	if got := r.acme("n0"); got.Name == "" {
		t.Error("an item is gone before its end")
	}
	r.now = end
	r.must(r.changeACME(&PutAcmeItem{Item: &AcmeItem{Name: "n2", Sealed: []byte("s")}, CreateOnly: true}))
	if got := r.acme("n0"); got.Name != "" {
		t.Error("an item outlives its end")
	}
	if got := r.acme("n1"); string(got.Sealed) != "again" {
		t.Errorf("%v is not what was put", got)
	}
}

// TestSpacesOfTheirOwn: no two kinds of keys begin alike.
func TestSpacesOfTheirOwn(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "key.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 || !strings.HasPrefix(v.Names[0].Name, "space") {
			return true
		}
		letter, name := v.Values[0].(*ast.BasicLit).Value, v.Names[0].Name
		if other := seen[letter]; other != "" {
			t.Errorf("%s and %s are both %s", other, name, letter)
		}
		seen[letter] = name
		return true
	})
	if len(seen) < 30 {
		t.Errorf("only %d spaces were found", len(seen))
	}
}
