package member

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"shoal/p2p"
)

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newTestTrust(t *testing.T) (*Trust, *Issuer, *clock) {
	key, issuer := fixed()
	c := &clock{epoch}
	return NewTrust(key.Cluster(), c.now), issuer, c
}

func revoke(t *testing.T, i *Issuer, peer p2p.NodeID, serial uint64) []byte {
	t.Helper()
	raw, err := i.Revoke(Revocation{Peer: peer, Serial: serial}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func credentialFor(t *testing.T, i *Issuer, peer p2p.NodeID, serial uint64) []byte {
	t.Helper()
	return issue(t, i, Credential{Peer: peer, Roles: p2p.RoleNode, Serial: serial})
}

func TestTrustAdmission(t *testing.T) {
	trust, issuer, _ := newTestTrust(t)
	raw := credentialFor(t, issuer, "a", 1)
	if _, err := trust.Check(nil, "a"); !errors.Is(err, ErrNoCredential) {
		t.Errorf("no credential: %v", err)
	}
	if _, err := trust.Check(raw, "b"); !errors.Is(err, ErrOtherPeer) {
		t.Errorf("credential of another peer: %v", err)
	}
	c, err := trust.Check(raw, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := trust.Member("a"); ok {
		t.Error("a check made a member")
	}
	if err := trust.Admit(c); err != nil {
		t.Fatal(err)
	}
	if got, ok := trust.Member("a"); !ok || got.Identity().Roles != p2p.RoleNode {
		t.Errorf("member: %+v %v", got, ok)
	}
	// An older credential does not replace a newer one.
	newer, err := trust.Check(credentialFor(t, issuer, "a", 5), "a")
	if err != nil {
		t.Fatal(err)
	}
	trust.Admit(newer)
	trust.Admit(c)
	if got, _ := trust.Member("a"); got.Serial != 5 {
		t.Errorf("serial %d after an older one came again", got.Serial)
	}
}

// TestTrustRevocationTwiceAtOnce: what comes by two ways at once is said to hold on neither before it does.
func TestTrustRevocationTwiceAtOnce(t *testing.T) {
	trust, issuer, _ := newTestTrust(t)
	signed := revoke(t, issuer, "a", 3)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		trust.OnRevoke(func(Revocation) { <-release })
		ended := make(chan bool, 2)
		for range 2 {
			go func() {
				news, err := trust.Revoke(signed)
				if err != nil {
					t.Error(err)
				}
				ended <- news
			}()
		}
		synctest.Wait()
		if len(ended) > 0 {
			t.Error("a call has ended before the hook has")
		}
		close(release)
		if first, second := <-ended, <-ended; first == second {
			t.Error("it was news to both or to none")
		}
	})
}

func TestTrustRevocation(t *testing.T) {
	trust, issuer, _ := newTestTrust(t)
	var heard []Revocation
	trust.OnRevoke(func(v Revocation) {
		if !trust.Revoked(v.Peer) {
			t.Error("the hook runs before the revocation counts")
		}
		heard = append(heard, v)
	})
	raw := credentialFor(t, issuer, "a", 3)
	c, err := trust.Check(raw, "a")
	if err != nil {
		t.Fatal(err)
	}
	trust.Admit(c)
	for i, want := range []bool{true, false} {
		news, err := trust.Revoke(revoke(t, issuer, "a", 3))
		if err != nil || news != want {
			t.Fatalf("revocation %d: news %v, %v", i, news, err)
		}
	}
	if news, _ := trust.Revoke(revoke(t, issuer, "a", 2)); news {
		t.Error("a revocation of an older serial is news")
	}
	if len(heard) != 1 {
		t.Errorf("hook ran %d times", len(heard))
	}
	if _, err := trust.Check(raw, "a"); !errors.Is(err, ErrRevoked) {
		t.Errorf("check of a revoked credential: %v", err)
	}
	if err := trust.Admit(c); !errors.Is(err, ErrRevoked) {
		t.Errorf("admit between check and revocation: %v", err)
	}
	if _, ok := trust.Member("a"); ok || !trust.Revoked("a") {
		t.Error("a revoked peer is a member")
	}
	// A credential of a higher serial readmits.
	c, err = trust.Check(credentialFor(t, issuer, "a", 4), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.Admit(c); err != nil || trust.Revoked("a") {
		t.Errorf("readmission: %v, revoked %v", err, trust.Revoked("a"))
	}
}

func TestTrustDigest(t *testing.T) {
	a, issuer, _ := newTestTrust(t)
	b, _, _ := newTestTrust(t)
	r1, r2, r3 := revoke(t, issuer, "x", 1), revoke(t, issuer, "y", 1), revoke(t, issuer, "x", 2)
	for _, r := range [][]byte{r1, r2, r3} {
		a.Revoke(r)
	}
	for _, r := range [][]byte{r2, r3, r1} {
		b.Revoke(r)
	}
	if a.Digest() != b.Digest() || a.Digest() == [32]byte{} {
		t.Error("the digest depends on the order of arrival")
	}
	if n := len(a.Revocations()); n != 2 {
		t.Errorf("%d revocations kept, want the newest of each peer", n)
	}
}

func TestTrustExpire(t *testing.T) {
	trust, issuer, c := newTestTrust(t)
	cred, err := trust.Check(credentialFor(t, issuer, "a", 1), "a")
	if err != nil {
		t.Fatal(err)
	}
	trust.Admit(cred)
	trust.Revoke(revoke(t, issuer, "b", 1))
	if gone := trust.Expire(); len(gone) != 0 {
		t.Errorf("too early: %v", gone)
	}
	c.t = epoch.Add(CredentialLife + time.Second)
	if _, ok := trust.Member("a"); ok {
		t.Error("an expired credential makes a member")
	}
	if gone := trust.Expire(); len(gone) != 1 || gone[0] != "a" {
		t.Errorf("gone: %v", gone)
	}
	if !trust.Revoked("b") {
		t.Error("a revocation was forgotten before the credential it revokes can have expired everywhere")
	}
	c.t = epoch.Add(CredentialLife + ClockSkew + time.Second)
	trust.Expire()
	if trust.Revoked("b") || trust.Digest() != [32]byte{} {
		t.Error("a revocation that matters no more is kept")
	}
}
