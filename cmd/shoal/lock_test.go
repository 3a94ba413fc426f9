package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite docs/config.lock")

// configLock lists every key: name, default, parts that take it, meaning.
func configLock() string {
	var b strings.Builder
	b.WriteString("# Every setting: flag --KEY, key of shoal.toml, variable SHOAL_KEY. Made by a test of cmd/shoal; do not edit.\n")
	b.WriteString("# key = default | parts | meaning\n")
	var s settings
	set := flagSet(&s)
	for _, k := range keys {
		f := set.Lookup(k.name)
		_, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, "%s = %q | %s | %s\n", k.name, f.DefValue, partNames(k.parts), usage)
	}
	lockTargets(&b)
	return b.String()
}

func partNames(p part) string {
	var names []string
	for i, name := range []string{"server", "node", "gateway", "admin"} {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func TestConfigLock(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "config.lock")
	got := configLock()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/config.lock is not true; if the change is meant, run make generate. It should be\n%s", got)
	}
}

// TestKeyNames checks that a key, its variable and its flag map to each other.
func TestKeyNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range keys {
		if seen[k.name] || k.parts == 0 || strings.ToLower(k.name) != k.name || strings.Contains(k.name, "_") {
			t.Errorf("key %q (parts %d) is not well named", k.name, k.parts)
		}
		seen[k.name] = true
	}
}
