package tidy

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// module is the prefix of our own import paths.
const module = "shoal"

// listed is what go list says of one package.
type listed struct {
	ImportPath   string
	Name         string
	Dir          string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// packages lists every package of the module.
func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Name,Dir,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}

// within says whether a package is the folder or below it.
func within(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

// arrows is the import table: what a package of the first folder that fits may import.
// An entry that ends in /… admits a folder, another one just the package.
var arrows = []struct {
	from string
	to   []string
}{
	{"acl", []string{"acl/…"}},
	{"chunker", []string{"chunker/…"}},
	{"p2p", []string{"p2p/…"}},
	// checksum is a leaf root in all but depth: the contract names digests.
	{"node/api", []string{"acl", "chunker", "p2p", "chunker/checksum"}},
	{"node", []string{"acl/…", "chunker/…", "p2p/…", "node/…"}},
	{"gateway", []string{"acl/…", "chunker/checksum", "node/api", "gateway/…"}},
	{"cmd", []string{"node", "node/client", "node/api", "gateway", "gateway/audit", "gateway/audit/export", "p2p/transport", "acl", "chunker", "p2p"}},
	{"e2e", []string{"…"}},
	{"", nil},
}

// testOnly lists the packages that tests and e2e alone may import.
var testOnly = []string{"p2p/simnet", "node/simdisk", "node/apitest"}

// allowed says whether a package (not its tests) may import another. Paths are
// relative to the module.
func allowed(from, to string) bool {
	if !within(from, "e2e") {
		for _, p := range testOnly {
			if within(to, p) && !within(from, p) {
				return false
			}
		}
	}
	for _, a := range arrows {
		if !within(from, a.from) && a.from != "" {
			continue
		}
		for _, entry := range a.to {
			folder, whole := strings.CutSuffix(entry, "…")
			if whole && (folder == "" || within(to, strings.TrimSuffix(folder, "/"))) || entry == to {
				return true
			}
		}
		return false
	}
	return false
}

// ours gives an import path relative to the module, when it is of the module.
func ours(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func TestImportTable(t *testing.T) {
	all := packages(t)
	if len(all) < 10 {
		t.Fatalf("go list names only %d packages", len(all))
	}
	for _, p := range all {
		from, ok := ours(p.ImportPath)
		if !ok {
			t.Errorf("%s is outside the module", p.ImportPath)
		}
		for _, path := range p.Imports {
			if to, ok := ours(path); ok && !allowed(from, to) {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
		}
	}
}

// TestImportTableRefuses checks that the table can fail.
func TestImportTableRefuses(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"acl/policy", "acl", true},
		{"acl/policy", "chunker", false},
		{"chunker/erasure", "chunker", true},
		{"chunker", "p2p", false},
		{"p2p/transport", "p2p/wire", true},
		{"p2p/transport", "node/api", false},
		{"node/api", "chunker", true},
		{"node/api", "chunker/checksum", true},
		{"node/api", "chunker/erasure", false},
		{"node/api", "node/meta", false},
		{"node/client", "node/api", true},
		{"node/client", "gateway", false},
		{"node", "gateway/s3op", false},
		{"node/meta", "node/simdisk", false},
		{"node/meta", "node/apitest", false},
		{"gateway/s3op", "node/api", true},
		{"gateway/s3op", "chunker/checksum", true},
		{"gateway/s3op", "node/client", false},
		{"gateway", "p2p", false},
		{"gatewayish", "node/api", false},
		{"cmd/shoal", "gateway", true},
		{"cmd/shoal", "gateway/sigv4", false},
		{"cmd/shoal", "node/meta", false},
		{"e2e/cluster", "node/simdisk", true},
		{"p2p/simnet", "p2p", true},
		{"p2p/transport", "p2p/simnet", false},
		{"", "node/api", false},
	} {
		if got := allowed(c.from, c.to); got != c.want {
			t.Errorf("%q importing %q: allowed is %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func TestPackageNames(t *testing.T) {
	refused := map[string]bool{"util": true, "utils": true, "common": true, "helper": true,
		"helpers": true, "type": true, "types": true, "model": true, "models": true, "misc": true, "base": true}
	for _, p := range packages(t) {
		if refused[p.Name] {
			t.Errorf("%s is named for nothing that it provides", p.ImportPath)
		}
	}
}
