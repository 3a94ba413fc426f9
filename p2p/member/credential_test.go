package member

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/p2p"
)

var update = flag.Bool("update", false, "rewrite golden files")

var epoch = time.Unix(1_800_000_000, 0)

// fixed returns a cluster whose keys are always the same.
func fixed() (*ClusterKey, *Issuer) {
	key := NewClusterKey(ClusterID{1, 2, 3}, bytes.Repeat([]byte{1}, 32))
	return key, key.NewIssuer(bytes.Repeat([]byte{2}, 32), 1, epoch)
}

func issue(t testing.TB, i *Issuer, c Credential) []byte {
	t.Helper()
	raw, err := i.Issue(c, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func sample() Credential {
	return Credential{Peer: "12D3KooWExample", Site: "a", Roles: p2p.RoleNode, Serial: 3, Epoch: 7}
}

func TestCredentialRoundTrip(t *testing.T) {
	key, issuer := fixed()
	got, err := key.Cluster().VerifyCredential(issue(t, issuer, sample()), epoch)
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	want.Cluster, want.NotBefore, want.NotAfter = key.Cluster().ID, epoch, epoch.Add(CredentialLife)
	if got != want {
		t.Errorf("got %+v want %+v", got, want)
	}
	if at := got.RenewAt(); !at.Equal(epoch.Add(CredentialLife / 3)) {
		t.Errorf("renew at %v", at)
	}
}

func TestCredentialRefused(t *testing.T) {
	key, issuer := fixed()
	good := issue(t, issuer, sample())
	otherCluster := NewClusterKey(ClusterID{9}, nil)
	forger := NewClusterKey(key.Cluster().ID, nil)
	stray := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, 32))
	lateIssuer := key.NewIssuer(nil, 2, epoch.Add(-IssuerLife-time.Hour))
	body, sig, err := splitSigned(good)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		raw  []byte
		now  time.Time
		want error
	}{
		{"empty", nil, epoch, ErrMalformed},
		{"garbage", []byte("garbage"), epoch, ErrMalformed},
		{"too long", make([]byte, RecordMax+1), epoch, ErrMalformed},
		{"another cluster", issue(t, otherCluster.NewIssuer(nil, 1, epoch), sample()), epoch, ErrOtherCluster},
		{"forged root", issue(t, forger.NewIssuer(nil, 1, epoch), sample()), epoch, ErrSignature},
		{"signed by somebody else", sign(stray, domainMember, body), epoch, ErrSignature},
		{"signed for another purpose", sign(issuer.key, domainRevoke, body), epoch, ErrSignature},
		{"signature cut", func() []byte { return good[:len(good)-1] }(), epoch, ErrMalformed},
		{"signature of another body", func() []byte {
			c := sample()
			c.Roles = p2p.RoleAny
			b, _, _ := splitSigned(issue(t, issuer, c))
			return rejoin(b, sig)
		}(), epoch, ErrSignature},
		{"expired", good, epoch.Add(CredentialLife + time.Second), ErrExpired},
		{"not yet valid", good, epoch.Add(-ClockSkew - time.Second), ErrNotYetValid},
		{"issuer expired", issue(t, lateIssuer, sample()), epoch, ErrExpired},
		{"unknown field", rejoin(append(bytes.Clone(body), 0x78, 1), sig), epoch, ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := key.Cluster().VerifyCredential(c.raw, c.now); !errors.Is(err, c.want) {
				t.Errorf("got %v want %v", err, c.want)
			}
		})
	}
	// A clock that is a little behind does no harm.
	if _, err := key.Cluster().VerifyCredential(good, epoch.Add(-ClockSkew)); err != nil {
		t.Errorf("within the skew: %v", err)
	}
}

// rejoin makes a signed record of parts that may not belong together.
func rejoin(body, sig []byte) []byte {
	r := []byte{0x0a}
	r = appendVarint(r, len(body))
	r = append(r, body...)
	r = append(r, 0x12)
	r = appendVarint(r, len(sig))
	return append(r, sig...)
}

func appendVarint(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// TestEveryBitCounts flips each bit of a credential: none of the results is believed.
func TestEveryBitCounts(t *testing.T) {
	key, issuer := fixed()
	good := issue(t, issuer, sample())
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, err := key.Cluster().VerifyCredential(bad, epoch); err == nil {
				t.Fatalf("byte %d bit %d flipped: still believed", i, bit)
			}
		}
	}
}

func TestIssueRefused(t *testing.T) {
	_, issuer := fixed()
	for name, edit := range map[string]func(*Credential){
		"no peer":       func(c *Credential) { c.Peer = "" },
		"no role":       func(c *Credential) { c.Roles = 0 },
		"site too long": func(c *Credential) { c.Site = strings.Repeat("x", siteTextMax+1) },
	} {
		c := sample()
		edit(&c)
		if _, err := issuer.Issue(c, epoch); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
}

func TestRevocationRefused(t *testing.T) {
	key, issuer := fixed()
	good, err := issuer.Revoke(Revocation{Peer: "p", Serial: 1}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := NewClusterKey(key.Cluster().ID, nil).NewIssuer(nil, 1, epoch).Revoke(Revocation{Peer: "p", Serial: 1}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Cluster().VerifyRevocation(good, epoch); err != nil {
		t.Errorf("good: %v", err)
	}
	if _, err := key.Cluster().VerifyRevocation(forged, epoch); !errors.Is(err, ErrSignature) {
		t.Errorf("forged: %v", err)
	}
	if _, err := key.Cluster().VerifyRevocation(good, epoch.Add(2*CredentialLife)); !errors.Is(err, ErrExpired) {
		t.Errorf("past its time: %v", err)
	}
	cred := issue(t, issuer, sample())
	if _, err := key.Cluster().VerifyRevocation(cred, epoch); err == nil {
		t.Error("a credential passes for a revocation")
	}
	if _, err := key.Cluster().VerifyCredential(good, epoch); err == nil {
		t.Error("a revocation passes for a credential")
	}
}

// TestGolden pins the bytes of each signed record and of an invitation.
func TestGolden(t *testing.T) {
	_, issuer := fixed()
	rev, err := issuer.Revoke(Revocation{Peer: "12D3KooWExample", Serial: 3, Epoch: 8}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	tok := goldenToken()
	var out strings.Builder
	fmt.Fprintf(&out, "issuer %s\n", hex.EncodeToString(issuer.Certificate()))
	fmt.Fprintf(&out, "credential %s\n", hex.EncodeToString(issue(t, issuer, sample())))
	fmt.Fprintf(&out, "revocation %s\n", hex.EncodeToString(rev))
	fmt.Fprintf(&out, "token %s\n", tok.Text())
	path := filepath.Join("testdata", "records-v1.golden")
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Fatalf("encoding changed:\n%s\nwant:\n%s", out.String(), want)
	}
}

func goldenToken() Token {
	key, _ := fixed()
	return Token{
		Cluster: key.Cluster().ID, RootHash: key.Cluster().RootHash(), Bootstrap: "12D3KooWExample",
		Addrs: []string{"10.0.0.1:4003", "[::1]:4003"}, ID: TokenID{1}, Secret: [32]byte{2},
		NotAfter: epoch, Roles: p2p.RoleGateway, Site: "b",
	}
}

func TestSecretsStayOut(t *testing.T) {
	key, issuer := fixed()
	tok := goldenToken()
	for _, v := range []any{key, issuer, tok, &tok} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			s := fmt.Sprintf(format, v)
			if strings.Contains(s, "[1 1 1") || strings.Contains(s, "0x1, 0x1, 0x1") || strings.Contains(s, "[2 0 0") || strings.Contains(s, "0x2, 0x0") {
				t.Errorf("%T with %s shows its secret: %s", v, format, s)
			}
		}
	}
}

func FuzzCredential(f *testing.F) {
	key, issuer := fixed()
	f.Add(issue(f, issuer, sample()))
	rev, _ := issuer.Revoke(Revocation{Peer: "p", Serial: 1}, epoch)
	f.Add(rev)
	f.Fuzz(func(t *testing.T, b []byte) {
		if body, sig, err := splitSigned(b); err == nil {
			if !bytes.Equal(rejoin(body, sig), b) && len(body) > 0 && len(sig) > 0 {
				t.Fatal("not canonical")
			}
			if c, issuer, err := decodeCredential(body); err == nil && !bytes.Equal(c.encode(issuer), body) {
				t.Fatal("credential is not canonical")
			}
			if v, issuer, err := decodeRevocation(body); err == nil && !bytes.Equal(v.encode(issuer), body) {
				t.Fatal("revocation is not canonical")
			}
		}
		key.Cluster().VerifyCredential(b, epoch)
		key.Cluster().VerifyRevocation(b, epoch)
	})
}

func BenchmarkVerifyCredential(b *testing.B) {
	key, issuer := fixed()
	raw := issue(b, issuer, sample())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Cluster().VerifyCredential(raw, epoch); err != nil {
			b.Fatal(err)
		}
	}
}
