package meta

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"shoal/node/api"
	"shoal/node/consensus"
)

var errDisk = errors.New("the disk is gone")

// failing is a reader whose call number n fails.
type failing struct {
	pebble.Reader
	n int
}

func (f *failing) fails() bool {
	f.n--
	return f.n == 0
}

func (f *failing) Get(key []byte) ([]byte, io.Closer, error) {
	if f.fails() {
		return nil, nil, errDisk
	}
	return f.Reader.Get(key)
}

func (f *failing) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	if f.fails() {
		return nil, errDisk
	}
	return f.Reader.NewIter(o)
}

// TestReadFaults lets each read of each query fail once. The query must say so: an answer made
// without what could not be read would be a lie.
func TestReadFaults(t *testing.T) {
	r := newRig(t, Config{})
	for _, c := range systemScript() {
		r.must(r.sys(c))
	}
	for _, c := range partitionScript() {
		r.must(r.do(c))
	}
	key, big := []byte("small"), []byte("big")
	open := &UploadQuery{Bucket: 7, Key: []byte("open"), Upload: vid(51)}
	for _, c := range []struct {
		g consensus.GroupID
		q isQuery_Q
	}{
		{3, &Query_Lookup{&LookupQuery{Bucket: 7, Key: big, Body: true, Parts: true, Versioning: true}}},
		{3, &Query_Lookup{&LookupQuery{Bucket: 7, Key: key, Version: vid(1), Body: true}}},
		{3, &Query_Lookup{&LookupQuery{Bucket: 7, Key: key, NullVersion: true, Body: true}}},
		{3, &Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("missing")}}},
		{3, &Query_List{&ListQuery{Bucket: 7, Max: 9}}},
		{3, &Query_Versions{&VersionsQuery{Bucket: 7, Max: 9, AfterKey: key, AfterSeq: 5}}},
		{3, &Query_BucketConfig{&BucketConfigQuery{Bucket: 7}}},
		{3, &Query_Upload{open}},
		{3, &Query_Parts{&PartsQuery{Upload: open, Max: 9}}},
		{3, &Query_PartManifests{&PartManifestsQuery{Upload: open, Numbers: []uint32{3}}}},
		{3, &Query_Uploads{&UploadsQuery{Bucket: 7, AfterKey: []byte("open"), AfterUpload: vid(51), Max: 9}}},
		{3, &Query_Owners{&OwnersQuery{Owners: []*StreamOwner{{Version: vid(60), Stream: 3}, {Version: vid(2), Stream: 1}}}}},
		{3, &Query_Garbage{&GarbageQuery{}}},
		{3, &Query_Counters{&CountersQuery{Bucket: 7}}},
		{3, &Query_Feed{&FeedQuery{}}},
		{3, &Query_Cursors{&CursorsQuery{}}},
		{0, &Query_Settings{&SettingsQuery{}}},
		{0, &Query_Bucket{&BucketQuery{Id: 1}}},
		{0, &Query_Buckets{&BucketsQuery{Owner: "me"}}},
		{0, &Query_Members{&MembersQuery{}}},
		{0, &Query_Placements{&PlacementsQuery{}}},
		{0, &Query_Keyring{&KeyringQuery{}}},
		{0, &Query_Credential{&CredentialQuery{AccessKeyId: "AKIA"}}},
		{0, &Query_Credentials{&CredentialsQuery{}}},
		{0, &Query_Invite{&InviteQuery{TokenId: []byte("token")}}},
		{0, &Query_Sequence{&SequenceQuery{Name: "replica"}}},
	} {
		t.Run(fmt.Sprintf("%T", c.q), func(t *testing.T) {
			reads := 0
			for n := 1; ; n++ {
				f := &failing{Reader: r.db, n: n}
				a, err := r.m.Query(f, c.g, &Query{Q: c.q})
				if f.n > 0 { // the query needs fewer reads
					reads = n - 1
					if kind := api.KindOf(a.Err("test")); err != nil || a.Code != 0 && kind != api.NoSuchKey {
						t.Fatalf("without a fault: %v, %v", a, err)
					}
					break
				}
				if !errors.Is(err, errDisk) {
					t.Fatalf("read %d failed, and the query said %v, %v", n, a, err)
				}
			}
			if reads == 0 {
				t.Fatal("nothing was read")
			}
		})
	}
}

// TestLookupBesideApply reads a key while it is overwritten and deleted: each answer is one
// version, whole.
func TestLookupBesideApply(t *testing.T) {
	r := newRig(t, Config{})
	var wg sync.WaitGroup
	done := make(chan struct{})
	for _, named := range []bool{false, true} {
		wg.Go(func() {
			for n := uint64(1); ; n++ {
				select {
				case <-done:
					return
				default:
				}
				q := &LookupQuery{Bucket: 7, Key: []byte("k"), Body: true, NullVersion: named}
				a, err := r.m.Lookup(r.db, testGroup, q)
				if kind := api.KindOf(err); err != nil && kind != api.NoSuchKey && kind != api.NoSuchVersion {
					t.Errorf("lookup: %v", err)
					return
				}
				if err == nil && !bytes.Equal(append(a.Inline, a.Manifest...), a.Head.Etag) {
					t.Errorf("head %q with content %q", a.Head.Etag, append(a.Inline, a.Manifest...))
					return
				}
			}
		})
	}
	for n := range uint64(400) {
		content := fmt.Appendf(nil, "content %d", n)
		r.must(r.do(object("k", n+1, func(c *PutVersion) {
			c.Etag, c.Inline = content, content
			if n%3 == 0 {
				sharded(1)(c)
				c.Manifest = content
			}
		})))
		if n%5 == 0 {
			r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
			r.must(r.do(&Command_GarbageDone{&GarbageDone{Seqs: []uint64{n, n / 2}}}))
		}
	}
	close(done)
	wg.Wait()
}
