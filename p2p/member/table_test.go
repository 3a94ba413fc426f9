package member

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"shoal/p2p"
)

var quiet = slog.New(slog.DiscardHandler)

func TestTableEpochs(t *testing.T) {
	tab := NewTable()
	changes := 0
	tab.OnChange(func() { changes++ })
	if !tab.Replace(2, []Member{{Peer: "a", Epoch: 2, Addrs: []string{"x"}}}) {
		t.Error("a newer table was not taken")
	}
	if tab.Replace(2, nil) {
		t.Error("a table of the present epoch was taken")
	}
	if !tab.Replace(5, []Member{{Peer: "a", Site: "s", Epoch: 4}, {Peer: "b", Epoch: 5}}) || tab.Epoch() != 5 {
		t.Error("a newer table was not taken")
	}
	if m, _ := tab.Get("a"); m.Site != "s" || !reflect.DeepEqual(m.Addrs, []string{"x"}) {
		t.Errorf("addresses known are lost: %+v", m)
	}
	if !tab.SetAddrs("a", make([]string, AddrsMax+3)) || tab.SetAddrs("nobody", []string{"x"}) {
		t.Error("set addrs")
	}
	if m, _ := tab.Get("a"); len(m.Addrs) != AddrsMax {
		t.Errorf("%d addresses kept", len(m.Addrs))
	}
	if changes != 2 {
		t.Errorf("%d changes were told, want one for each table taken", changes)
	}
	if list := tab.List(); len(list) != 2 || list[0].Peer != "a" {
		t.Errorf("list %+v", list)
	}
}

func openTable(t *testing.T, path string) (*Table, *Trust, *Issuer) {
	t.Helper()
	trust, issuer, _ := newTestTrust(t)
	tab, err := OpenTable(path, trust, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return tab, trust, issuer
}

func TestCacheKeepsAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "members.cache")
	tab, trust, issuer := openTable(t, path)
	rows := []Member{
		{Peer: "a", Site: "s", Roles: p2p.RoleNode, State: StateActive, Serial: 1, Epoch: 3, Addrs: []string{"/ip4/1.2.3.4/tcp/1"}},
		{Peer: "b", Roles: p2p.RoleGateway, State: StateDraining, Epoch: 4},
	}
	tab.Replace(4, rows)
	if err := tab.Save(); err != nil {
		t.Fatal(err)
	}
	// A revocation is kept without anybody calling Save.
	if _, err := trust.Revoke(revoke(t, issuer, "b", 1)); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
	again, trust2, _ := openTable(t, path)
	if !trust2.Revoked("b") {
		t.Error("the revocation is gone after a restart")
	}
	if again.Epoch() != 4 || !reflect.DeepEqual(again.List()[0], rows[0]) {
		t.Errorf("table after a restart: epoch %d %+v", again.Epoch(), again.List())
	}
	if m, _ := again.Get("b"); m.State != StateLeft {
		t.Errorf("revoked member is %v", m.State)
	}
}

// TestCacheDamage flips each byte and cuts at each length: the file is set aside, never believed.
func TestCacheDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "members.cache")
	tab, trust, issuer := openTable(t, path)
	tab.Replace(1, []Member{{Peer: "a", State: StateActive, Epoch: 1}})
	if _, err := trust.Revoke(revoke(t, issuer, "z", 1)); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		fresh, _, _ := newTestTrust(t)
		tab, err := OpenTable(path, fresh, quiet)
		if !errors.Is(err, ErrCacheDamaged) || tab == nil || len(tab.List()) != 0 {
			t.Fatalf("%s: %v", what, err)
		}
		if _, err := os.Stat(path + ".damaged"); err != nil {
			t.Fatalf("%s: not set aside: %v", what, err)
		}
	}
	for i := range good {
		b := append([]byte(nil), good...)
		b[i] ^= 0x40
		check("flip", b)
		check("cut", good[:i])
	}
}

func TestCacheRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "members.cache")
	tab, _, _ := openTable(t, path)
	tab.Replace(1, []Member{{Peer: "a", Epoch: 1}})
	if err := tab.Save(); err != nil {
		t.Fatal(err)
	}
	other := NewTrust(NewClusterKey(ClusterID{9}, nil).Cluster(), nil)
	if _, err := OpenTable(path, other, quiet); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("cache of another cluster: %v", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	trust, _, _ := newTestTrust(t)
	var loose *LooseModeError
	if _, err := OpenTable(path, trust, quiet); !errors.As(err, &loose) {
		t.Errorf("cache that anyone may write: %v", err)
	}
	// What a crash left behind is cleared away.
	left := path + ".tmp-123"
	os.Chmod(path, 0o600)
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	openTable(t, path)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Error("an unfinished file is left")
	}
}

func FuzzCache(f *testing.F) {
	f.Add(encodeCache(3, []Member{{Peer: "a", Epoch: 1, Addrs: []string{"x"}}}, [][]byte{{1, 2}}, ClusterID{1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		epoch, rows, revs, cluster, err := decodeCache(b)
		if err != nil {
			return
		}
		if _, _, _, _, err := decodeCache(encodeCache(epoch, rows, revs, cluster)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTokenText(t *testing.T) {
	tok := goldenToken()
	got, err := ParseToken("\t" + tok.Text() + "\n")
	if err != nil || !reflect.DeepEqual(got, tok) {
		t.Fatalf("got %+v, %v", got, err)
	}
	text := tok.Text()
	for name, s := range map[string]string{
		"empty": "", "another word": "hello", "cut": text[:len(text)-3],
		"mistyped":   strings.Replace(text, text[20:21], map[bool]string{true: "A", false: "B"}[text[20] != 'A'], 1),
		"with space": text[:30] + " " + text[30:], "too long": text + strings.Repeat("A", tokenTextMax),
	} {
		if _, err := ParseToken(s); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokenProof(t *testing.T) {
	tok, other := NewToken(), NewToken()
	proof := tok.Prove([]byte("exporter"), "me")
	if !VerifyProof(tok.Verifier(), tok.ID, []byte("exporter"), "me", proof) {
		t.Error("a good proof is refused")
	}
	if VerifyProof(other.Verifier(), tok.ID, []byte("exporter"), "me", proof) ||
		VerifyProof(tok.Verifier(), other.ID, []byte("exporter"), "me", proof) ||
		VerifyProof(tok.Verifier(), tok.ID, []byte("exporter"), "me", nil) {
		t.Error("a proof is accepted for what it does not prove")
	}
	if tok.Verifier() == tok.Secret {
		t.Error("the verifier is the secret")
	}
}

func FuzzToken(f *testing.F) {
	tok := goldenToken()
	f.Add(tok.Text())
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err == nil && tok.Text() != strings.TrimSpace(s) {
			t.Fatal("not canonical")
		}
	})
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cluster.key")
	a, err := LoadOrCreateClusterKey(path, ClusterID{1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadOrCreateClusterKey(path, ClusterID{1})
	if err != nil || !a.Cluster().RootKey.Equal(b.Cluster().RootKey) {
		t.Fatalf("second load: %v", err)
	}
	if _, err := ReadKeyFile(path, issuerKeyLabel); !errors.Is(err, ErrKeyFile) {
		t.Errorf("a cluster key passes for an issuer key: %v", err)
	}
	if err := WriteKeyFile(path, clusterKeyLabel, make([]byte, 32)); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key file was overwritten: %v", err)
	}
	if _, err := ReadKeyFile(dir, clusterKeyLabel); !errors.Is(err, ErrKeyFile) {
		t.Errorf("a directory: %v", err)
	}
	for _, mode := range []os.FileMode{0o604, 0o640, 0o620, 0o666} {
		os.Chmod(path, mode)
		var loose *LooseModeError
		if _, err := ReadKeyFile(path, clusterKeyLabel); !errors.As(err, &loose) || loose.Mode.Perm() != mode {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	// The issuer key and its certificate must belong together.
	issuerPath := filepath.Join(dir, "issuer.key")
	pub, err := IssuerPublicKey(issuerPath)
	if err != nil {
		t.Fatal(err)
	}
	cert := a.SignIssuer(pub, 1, epoch, epoch.Add(IssuerLife))
	if _, err := OpenIssuer(issuerPath, a.Cluster(), cert, epoch); err != nil {
		t.Errorf("issuer: %v", err)
	}
	if _, err := OpenIssuer(filepath.Join(dir, "other.key"), a.Cluster(), cert, epoch); !errors.Is(err, ErrKeyFile) {
		t.Errorf("issuer with another's certificate: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".key-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
