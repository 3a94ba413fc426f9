package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// loaded runs the loader of a part over a file, variables and a command line.
func loaded(t *testing.T, p part, file string, vars, args []string) (*settings, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if file != "" {
		if err := os.WriteFile(configFile, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return nil }}
	l := newLoader(environment{vars: vars}, cmd, p)
	cmd.SetArgs(append([]string{}, args...))
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	return l.load()
}

func TestSourcesRiseInOrder(t *testing.T) {
	file := "region = \"file\"\nsite = \"file\"\ngrace = \"7s\"\ndrive = [\"f1\", \"f2\"]\nbuffer = \"64MiB\"\ndomain = \"one.example\"\npartitions = 4\ninsecure-http = true\n"
	vars := []string{"SHOAL_SITE=env", "SHOAL_GRACE=8s", "HOME=/", "SHOAL_P2P_BULK=127.0.0.1:5"}
	s, err := loaded(t, partServer, file, vars, []string{"--grace", "9s", "--drive", "a", "--drive", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if s.region != "file" || s.site != "env" || s.grace != 9*time.Second || s.p2pBulk != "127.0.0.1:5" {
		t.Errorf("region %q, site %q, grace %v, p2p-bulk %q", s.region, s.site, s.grace, s.p2pBulk)
	}
	if want := []string{"a", "b"}; !reflect.DeepEqual(s.drives, want) {
		t.Errorf("drives %v, want %v: a stronger source takes the place of a list", s.drives, want)
	}
	if s.buffer != 64<<20 || s.partitions != 4 || !s.insecureHTTP || !reflect.DeepEqual(s.domains, []string{"one.example"}) {
		t.Errorf("buffer %d, partitions %d, insecure-http %v, domains %v", s.buffer, s.partitions, s.insecureHTTP, s.domains)
	}
}

func TestLists(t *testing.T) {
	s, err := loaded(t, partNode, "drive = [\"f\"]", []string{"SHOAL_DRIVE=/a,/b"}, nil)
	if err != nil || !reflect.DeepEqual(s.drives, []string{"/a", "/b"}) {
		t.Errorf("drives %v, %v", s.drives, err)
	}
}

func TestEveryProblemIsReported(t *testing.T) {
	file := "regoin = \"x\"\ngrace = \"soon\"\ns3 = [\"a\"]\n[tls]\ncert = \"x\"\n"
	vars := []string{"SHOAL_DOMIAN=x", "SHOAL_data=x", "SHOAL_LOG_LEVEL=loud", "SHOAL_TLS_KEY=k"}
	_, err := loaded(t, partServer, file, vars, []string{"--partitions", "0", "--admin", "9001"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"shoal.toml: regoin is not a known key; did you mean region?",
		"shoal.toml: tls is not a known key",
		`shoal.toml: grace: "soon"`,
		"shoal.toml: s3: takes one value, not a list",
		"variable SHOAL_DOMIAN is not known; did you mean SHOAL_DOMAIN?",
		"variable SHOAL_data is not known; did you mean SHOAL_DATA?",
		`log-level: "loud" is none of debug, info, warn, error`,
		"tls-cert and tls-key: give as many of both",
		"partitions: 0 is not within 1 to 256",
		`admin: "9001" is not host:port`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if line := oneLine(err); strings.ContainsAny(line, "\r\n") {
		t.Errorf("more than one line: %q", line)
	}
}

func TestConfigFile(t *testing.T) {
	t.Run("named but absent", func(t *testing.T) {
		if _, err := loaded(t, partNode, "", nil, []string{"--config", "absent.toml"}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("named by variable", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.toml")
		if err := os.WriteFile(path, []byte("site = 'there'"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := loaded(t, partNode, "site = 'here'", []string{"SHOAL_CONFIG=" + path}, nil)
		if err != nil || s.site != "there" {
			t.Errorf("site %q, %v", s.site, err)
		}
	})
	t.Run("not TOML", func(t *testing.T) {
		_, err := loaded(t, partNode, "site = \n", nil, nil)
		if err == nil || !strings.Contains(err.Error(), "shoal.toml:1:") {
			t.Errorf("error %v does not name the line", err)
		}
	})
	t.Run("keys of other parts", func(t *testing.T) {
		if _, err := loaded(t, partGateway, "drive = ['x']\nerasure = '2+1'", nil, nil); err != nil {
			t.Errorf("a file that parts share: %v", err)
		}
	})
}

func TestJoinIsChecked(t *testing.T) {
	const at = "/ip4/192.0.2.1/tcp/4003/p2p/12D3KooWAbc"
	for _, c := range []struct {
		args []string
		says string // "" when they are right
	}{
		{nil, ""},
		{[]string{"--join", "shoal1-abc"}, ""},
		{[]string{"--join", at}, ""},
		{[]string{"--join", at, "--token", "shoal1-abc", "--mdns", "--relay-only", "--announce", "/dns4/a/tcp/1", "--announce", "/ip4/192.0.2.1/tcp/1"}, ""},
		{[]string{"--token", "shoal1-abc"}, "token: give --join"},
		{[]string{"--join", "abc"}, "join: neither a token"},
		{[]string{"--join", "/ip4/192.0.2.1/tcp/4003"}, "join: \"/ip4/192.0.2.1/tcp/4003\" is not"},
		{[]string{"--join", "shoal1-abc", "--token", "shoal1-abc"}, "token: --join is a token already"},
		{[]string{"--join", at, "--token", at}, "token: it does not begin with shoal1-"},
		{[]string{"--announce", "192.0.2.1:4001"}, `announce: "192.0.2.1:4001" is not an address`},
	} {
		for _, p := range []part{partServer, partNode, partGateway} {
			_, err := loaded(t, p, "", nil, c.args)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("part %d, %q: %v, want %q", p, c.args, err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "shoal1-abc") {
				t.Errorf("the error shows a token: %v", err)
			}
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"data", "data", 0}, {"dat", "data", 1},
		{"dtaa", "data", 2}, {"kitten", "sitting", 3}, {strings.Repeat("x", 1000), "x", 63},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%.9q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestByteCount(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
		ok   bool
	}{
		{"64MiB", 64 << 20, true}, {"1 GiB", 1 << 30, true}, {"17", 17, true}, {"17B", 17, true}, {"0", 0, true},
		{"3TiB", 3 << 40, true}, {"-1", 0, false}, {"MiB", 0, false}, {"", 0, false}, {"1.5GiB", 0, false},
		{"9223372036854775807KiB", 0, false}, {"64MB", 0, false},
	} {
		var b byteCount
		if err := b.Set(c.text); (err == nil) != c.ok || int64(b) != c.want {
			t.Errorf("%q: %d, %v", c.text, int64(b), err)
		}
		var again byteCount
		if err := again.Set(b.String()); err != nil || again != b {
			t.Errorf("%q is written %q and read as %d, %v", c.text, b.String(), int64(again), err)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"version", []string{"version"}, exitOK, ""},
		{"help", []string{"--help"}, exitOK, ""},
		{"unknown command", []string{"sevrer"}, exitUsage, "unknown command"},
		{"unknown flag", []string{"version", "--loud"}, exitUsage, "unknown flag"},
		{"argument too many", []string{"version", "x"}, exitUsage, ""},
		{"bad invite", []string{"admin", "invite", "--role", "king"}, exitUsage, "--role is node or gateway"},
		{"no credentials", []string{"admin", "space"}, exitFailure, "no credentials at data/root.credentials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := execute(t.Context(), environment{out: &out, err: &errs}, c.args)
			if code != c.want || !strings.Contains(errs.String(), c.says) {
				t.Errorf("exit %d, want %d; stderr %q", code, c.want, errs.String())
			}
			if code != exitOK && (strings.Count(errs.String(), "\n") != 1 || !strings.HasPrefix(errs.String(), "shoal: ")) {
				t.Errorf("stderr is not one line of ours: %q", errs.String())
			}
		})
	}
}
