package sitecache

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/keyring"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/placement"
)

var testRoot = envelope.RootKey{Key: [envelope.KeySize]byte{1}}

func testKeys() *keyring.Keyring { return keyring.New(testRoot) }

// contents is something to keep, as of a time.
func contents(t testing.TB, asOf time.Time) *Contents {
	t.Helper()
	keys := testKeys()
	table, err := placement.Build(3, []placement.Drive{{ID: placement.DriveID{1}, Node: "a", Site: "edge", Weight: 1}}, 1, nil, placement.Limits{})
	must(t, err)
	l := &peer.Layout{
		Epoch: 3, Partitions: 2, Profile: erasure.Profile{K: 1}, Table: table, Region: "here",
		Groups: map[consensus.GroupID][]p2p.NodeID{0: {"a"}, 3: {"a"}}, GroupsVersion: 4,
		Bound: map[consensus.GroupID]string{3: "edge"}, Sites: []peer.SiteTables{{Site: "edge", Profile: erasure.Profile{K: 1}, Table: table}},
	}
	l.Divide()
	kek, err := keys.SealKEK(envelope.KEK{ID: 5, Key: [envelope.KeySize]byte{9}})
	must(t, err)
	secret, err := keys.SealSecret("AK", "the secret")
	must(t, err)
	return &Contents{
		AsOf: asOf, Stale: time.Hour, Layout: l, Current: 5, KEKs: []*meta.KEK{{Id: 5, Sealed: kek}},
		Credentials: []*meta.Credential{{AccessKeyId: "AK", Sealed: secret, Principal: "me"}},
		Buckets:     []*meta.Bucket{{Name: "b", Id: 7, Group: 3}},
		Identities:  []*meta.Identity{{Name: "alice", Kind: &meta.Identity_User{User: &meta.UserIdentity{}}}}, IdentityEpoch: 12,
	}
}

// identities are too many for one answer.
func identities() (all []*meta.Identity) {
	for i := range 40 {
		all = append(all, &meta.Identity{Name: fmt.Sprintf("p%02d", i), Kind: &meta.Identity_Policy{Policy: &meta.PolicyIdentity{Document: make([]byte, 40<<10)}}})
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, what string, err error, kind api.Kind) {
	t.Helper()
	if api.KindOf(err) != kind {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

// What was kept is there after a restart, to whoever asks, with its age; keys to open content too.
func TestKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.cache")
	now := time.Unix(1_000_000, 0)
	clock := func() time.Time { return now }
	s, err := Open(path, testKeys(), clock)
	must(t, err)
	_, err = s.Recall(peer.RecallQuestion{})
	wantKind(t, "an empty one", err, api.Unavailable)
	c := contents(t, now)
	c.Identities = identities()
	must(t, s.Put(c))
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", st, err)
	}
	if b, _ := os.ReadFile(path); bytes.Contains(b, []byte("the secret")) || bytes.Contains(b, append([]byte{9}, make([]byte, 8)...)) {
		t.Error("a secret lies open in the file")
	}
	left := filepath.Join(filepath.Dir(path), ".site.cache-123")
	must(t, os.WriteFile(left, []byte("half"), 0o600))

	now = now.Add(10 * time.Minute)
	keys := testKeys()
	s, err = Open(path, keys, clock)
	must(t, err)
	if _, err := os.Stat(left); err == nil {
		t.Error("an unfinished file is left")
	}
	if kek, err := keys.Current(); err != nil || kek.ID != 5 || kek.Key[0] != 9 {
		t.Errorf("current key %d, %v", kek.ID, err)
	}
	r, err := s.Recall(peer.RecallQuestion{})
	must(t, err)
	if l := r.Layout; l.Epoch != 3 || l.GroupsVersion != 4 || l.In("edge") == nil || l.Bound[3] != "edge" || r.Age != 10*time.Minute || r.StaleIdentity != time.Hour {
		t.Errorf("layout %+v", r)
	}
	r, err = s.Recall(peer.RecallQuestion{AccessKeyID: "AK"})
	if want := (api.Credential{AccessKeyID: "AK", Secret: "the secret", Principal: "me"}); err != nil || r.Credential != want {
		t.Errorf("credential %+v, %v", r, err)
	}
	r, err = s.Recall(peer.RecallQuestion{Bucket: "b"})
	if err != nil || r.Bucket.GetId() != 7 {
		t.Errorf("bucket %+v, %v", r, err)
	}
	var all []string
	for q, more := (peer.RecallQuestion{Identities: true}), true; more; {
		r, err = s.Recall(q)
		must(t, err)
		if r.IdentityEpoch != 12 || len(r.Identities) == 0 || len(r.Identities) == 40 {
			t.Fatalf("%d identities at epoch %d", len(r.Identities), r.IdentityEpoch)
		}
		for _, i := range r.Identities {
			all = append(all, i.GetName())
		}
		q.IdentityEpoch, q.IdentityFrom, more = 12, uint32(len(all)), r.More
	}
	if len(all) != 40 || !slices.IsSorted(all) {
		t.Errorf("identities %q", all)
	}
	for _, q := range []peer.RecallQuestion{{Identities: true, IdentityEpoch: 11}, {Identities: true, IdentityEpoch: 12, IdentityFrom: 41}} {
		_, err = s.Recall(q)
		wantKind(t, "identities that have changed", err, api.Unavailable)
	}
	_, err = s.Recall(peer.RecallQuestion{AccessKeyID: "BK"})
	wantKind(t, "a key that was not there", err, api.Unavailable)
	_, err = s.Recall(peer.RecallQuestion{Bucket: "c"})
	wantKind(t, "a bucket that was not there", err, api.Unavailable)
	now = now.Add(50 * time.Minute)
	_, err = s.Recall(peer.RecallQuestion{AccessKeyID: "AK"})
	wantKind(t, "a key that is too old", err, api.Unavailable)
	_, err = s.Recall(peer.RecallQuestion{Identities: true})
	wantKind(t, "identities that are too old", err, api.Unavailable)
	now = now.Add(-2 * time.Hour)
	_, err = s.Recall(peer.RecallQuestion{AccessKeyID: "AK"})
	wantKind(t, "a clock that was set back", err, api.Unavailable)
}

// The file is written when something is new, and now and then.
func TestWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.cache")
	now := time.Unix(1_000_000, 0)
	s, err := Open(path, testKeys(), func() time.Time { return now })
	must(t, err)
	c := contents(t, now)
	put := func(after time.Duration) bool {
		t.Helper()
		now = now.Add(after)
		before, _ := os.ReadFile(path)
		next := *c
		next.AsOf = now
		must(t, s.Put(&next))
		b, err := os.ReadFile(path)
		must(t, err)
		return !bytes.Equal(b, before)
	}
	if !put(0) || put(30*time.Second) || !put(5*time.Minute) {
		t.Error("the file is not written when it should be, or when it should not")
	}
	c.Buckets = append(c.Buckets, &meta.Bucket{Name: "new", Id: 8, Group: 3})
	if !put(time.Second) || put(time.Second) {
		t.Error("what is new is not written once")
	}
}

// A file that was changed, cut, or made under another root key is set aside, and the node goes on.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "site.cache")
	s, err := Open(path, testKeys(), time.Now)
	must(t, err)
	must(t, s.Put(contents(t, time.Now())))
	good, err := os.ReadFile(path)
	must(t, err)
	check := func(what string, b []byte, keys *keyring.Keyring) {
		t.Helper()
		must(t, os.WriteFile(path, b, 0o600))
		s, err := Open(path, keys, time.Now)
		if !errors.Is(err, ErrDamaged) || s == nil || s.Filled() {
			t.Fatalf("%s: %v", what, err)
		}
		if _, err := keys.Current(); err == nil {
			t.Fatalf("%s: its keys are used", what)
		}
		must(t, os.Remove(path+".damaged"))
	}
	for i := range good {
		if i > 32 && i < len(good)-100 && i%997 != 0 {
			continue
		}
		b := bytes.Clone(good)
		b[i] ^= 0x40
		check("flip", b, testKeys())
		check("cut", good[:i], testKeys())
	}
	check("longer", append(bytes.Clone(good), 0), testKeys())
	check("another store's", good, keyring.New(envelope.RootKey{Key: [envelope.KeySize]byte{2}}))
	must(t, os.WriteFile(path, good, 0o600))
	must(t, os.Chmod(path, 0o644))
	if _, err := Open(path, testKeys(), time.Now); !errors.Is(err, keyring.ErrLooseMode) || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("a file that others may read: %v", err)
	}
}

// FuzzParse reads arbitrary bodies: what is taken can be encoded, and means the same again.
func FuzzParse(f *testing.F) {
	body, err := contents(f, time.Unix(1, 0)).body()
	must(f, err)
	f.Add(body)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parse(b)
		if err != nil {
			return
		}
		first, err := c.body()
		must(t, err)
		again, err := parse(first)
		must(t, err)
		second, err := again.body()
		must(t, err)
		if !bytes.Equal(first, second) {
			t.Error("encoded again, it is other bytes")
		}
	})
}

// FuzzFile opens arbitrary files: none is believed but those with a mark.
func FuzzFile(f *testing.F) {
	body, err := contents(f, time.Unix(1, 0)).body()
	must(f, err)
	good, err := seal(testKeys(), time.Unix(1, 0), body)
	must(f, err)
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := open(testKeys(), b); err == nil && !bytes.Equal(b, good) {
			t.Error("a file without a mark was believed")
		}
	})
}
