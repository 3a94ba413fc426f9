package tidy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\[[^\]\n]*\]\(([^)\s]+)\)`)
	decision = regexp.MustCompile(`^\d{4}-[a-z0-9-]+\.md$`)
)

// deadLinks finds the relative links of a document that lead to no file.
func deadLinks(dir, text string) []string {
	var dead []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(target))); err != nil {
			dead = append(dead, target)
		}
	}
	return dead
}

func TestDocumentLinks(t *testing.T) {
	for _, name := range files(t, ".md") {
		dir := filepath.Dir(filepath.Join(root(t), name))
		for _, target := range deadLinks(dir, read(t, name)) {
			t.Errorf("%s: %s leads nowhere", name, target)
		}
	}
}

// TestDocumentLinksRefuses checks that a dead link is seen.
func TestDocumentLinksRefuses(t *testing.T) {
	text := "[a](docs_test.go) [b](nowhere.md#x) [c](https://example.com/x) [d](#here)"
	if dead := deadLinks(".", text); len(dead) != 1 || dead[0] != "nowhere.md" {
		t.Errorf("dead links %v, want nowhere.md alone", dead)
	}
}

func TestDocumentsExist(t *testing.T) {
	for _, name := range []string{"README.md", "LICENSE", "Makefile", ".ci/run", "docs/ARCHITECTURE.md",
		"docs/s3-compatibility.md", "docs/config.lock", "docs/metrics.lock"} {
		if _, err := os.Stat(filepath.Join(root(t), name)); err != nil {
			t.Errorf("%v", err)
		}
	}
}

// TestDecisions checks that decision records are numbered without gaps and have their sections.
func TestDecisions(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(root(t), "docs", "decisions"))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if !decision.MatchString(e.Name()) {
			t.Errorf("%s is not named NNNN-title.md", e.Name())
			continue
		}
		if want := i + 1; e.Name()[:4] != pad(want) {
			t.Errorf("%s stands where number %s is expected", e.Name(), pad(want))
		}
		text := read(t, filepath.Join("docs", "decisions", e.Name()))
		for _, section := range []string{"Context", "Decision", "Alternatives", "Consequences", "Status"} {
			if !strings.Contains(text, "\n## "+section+"\n") {
				t.Errorf("%s has no section %s", e.Name(), section)
			}
		}
	}
}

func pad(n int) string { return fmt.Sprintf("%04d", n) }

// TestDependenciesAreDecided checks that a decision record names every direct dependency.
func TestDependenciesAreDecided(t *testing.T) {
	var records strings.Builder
	for _, name := range files(t, ".md") {
		if strings.HasPrefix(name, filepath.Join("docs", "decisions")) {
			records.WriteString(read(t, name))
		}
	}
	for _, line := range strings.Split(read(t, "go.mod"), "\n") {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) != 2 || !strings.HasPrefix(fields[1], "v") {
			continue
		}
		if !strings.Contains(records.String(), "`"+fields[0]+"`") {
			t.Errorf("no decision record names %s", fields[0])
		}
	}
}
