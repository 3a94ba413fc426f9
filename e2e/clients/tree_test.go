package clients

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// treeFiles is how many files the tree has.
const treeFiles = 2000

// oddNames are names that a file system takes and that a store or a client may stumble over.
var oddNames = []string{
	"a b", " leading", "trailing ", "two  spaces", ".hidden", "..dots", "...", "a.", "~", "~tilde", "-dash", "--", "_",
	"a+b", "+", "a%b", "100%", "%41", "%2F", "%252F", "%zz", "%00", "a#b", "#", "a&b", "&amp;", "a?b", "?", "a?b=c&d=e", "a=b", "a;b", "a:b",
	"a@b", "a$b", "$HOME", "$(id)", "a,b", "a!b", "a*b", "a'b", "a\"b", "a(b)", "a[b]", "a{b}", "<a>", "]]>", "a\\b", "a|b", "a^b", "a`b",
	"ä", "ß", "e\u0301", "é", "a\u0308ö", "日本語", "한국어", "العربية", "עברית", "😀", "👨\u200d👩\u200d👧", "\u00a0", "\u2028", "\U0010fffd",
	"CON", "nul.txt", "index.html", "uploads", "null", "true", "0", "1e9", "café ☕ #1 (50% off) & more?.txt", "aws-chunked", "{{.}}", "%s%n",
}

// edgeSizes are those about the sizes at which something changes in the store or the clients.
func edgeSizes() []int64 {
	var sizes []int64
	for _, edge := range []int64{16 * kib, 64 * kib, 4 * mib} {
		sizes = append(sizes, edge-1, edge, edge+1)
	}
	return append(sizes, 0, 1, 8*mib, 20*mib)
}

// plantTree writes the tree of odd files into a folder: the same at every run.
func plantTree(t testing.TB, dir string) {
	t.Helper()
	for i := range treeFiles {
		writeFile(t, filepath.Join(dir, fileName(i)), content(i, fileSize(i)))
	}
}

// fileName gives every file a folder of its odd name, some of them deep.
func fileName(i int) string {
	odd := oddNames[i%len(oddNames)]
	round := i / len(oddNames)
	switch {
	case round == 0:
		return "names/" + odd
	case round == 1:
		return "folders/" + odd + "/" + odd
	case round == 2:
		return "deep" + strings.Repeat("/d", 1+i%40) + "/" + odd
	default:
		return fmt.Sprintf("many/%02d %s/%04d%s", round, odd, i, odd)
	}
}

func fileSize(i int) int64 {
	if edges := edgeSizes(); i >= treeFiles-len(edges) {
		return edges[i-(treeFiles-len(edges))]
	}
	if i%17 == 0 {
		return 0
	}
	return int64(i*7919) % 3000
}

// content are bytes that follow from a seed.
func content(seed int, size int64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], uint64(seed))
	b := make([]byte, size)
	rand.NewChaCha8(key).Read(b)
	return b
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// fileNames are the regular files below a folder.
func fileNames(dir string) (map[string]bool, error) {
	names := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		names[rel] = true
		return err
	})
	return names, err
}

// differences says in what a folder differs from another.
func differences(want, got string) ([]string, error) {
	wantNames, err := fileNames(want)
	if err != nil {
		return nil, err
	}
	gotNames, err := fileNames(got)
	if err != nil {
		return nil, err
	}
	var found []string
	for name := range gotNames {
		if !wantNames[name] {
			found = append(found, fmt.Sprintf("%q was never written", name))
		}
	}
	for name := range wantNames {
		if !gotNames[name] {
			found = append(found, fmt.Sprintf("%q is missing", name))
			continue
		}
		a, err := os.ReadFile(filepath.Join(want, name))
		if err != nil {
			return nil, err
		}
		b, err := os.ReadFile(filepath.Join(got, name))
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(a, b) {
			found = append(found, fmt.Sprintf("%q has %d other bytes than the %d written", name, len(b), len(a)))
		}
	}
	return found, nil
}

// sameTrees fails the test where two folders differ in a name or a byte.
func sameTrees(t testing.TB, want, got string) {
	t.Helper()
	found, err := differences(want, got)
	if err != nil {
		t.Fatal(err)
	}
	for i, what := range found {
		if i == 20 {
			t.Errorf("and %d differences more", len(found)-i)
			break
		}
		t.Error(what)
	}
}

// TestTree checks that the tree is what it is said to be and that differences are found.
func TestTree(t *testing.T) {
	want, got := t.TempDir(), t.TempDir()
	plantTree(t, want)
	plantTree(t, got)
	names, err := fileNames(want)
	if err != nil || len(names) != treeFiles {
		t.Fatalf("%d files, want %d: %v", len(names), treeFiles, err)
	}
	sameTrees(t, want, got)
	writeFile(t, filepath.Join(got, fileName(3)), []byte("other"))
	writeFile(t, filepath.Join(got, "one more"), nil)
	if err := os.Remove(filepath.Join(got, fileName(1999))); err != nil {
		t.Fatal(err)
	}
	if found, err := differences(want, got); err != nil || len(found) != 3 {
		t.Errorf("%d differences, want 3: %q, %v", len(found), found, err)
	}
}
