package meta

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

func aclScript() []isCommand_Op {
	put := func(key string, n uint64, acl string) *Command_PutVersion {
		return &Command_PutVersion{&PutVersion{
			Bucket: 11, Key: []byte(key), Version: vid(n), Size: 5, Etag: []byte("e"), Inline: []byte("sealed"), WrappedDek: []byte("dek"), Acl: []byte(acl),
		}}
	}
	return []isCommand_Op{
		&Command_SetBucketConfig{&SetBucketConfig{Bucket: 11, Name: "acl", Value: []byte("acl of the bucket")}},
		&Command_SetBucketConfig{&SetBucketConfig{Bucket: 11, Name: "versioning", Value: []byte("enabled")}},
		put("k", 1, "older"), put("k", 2, "newer"), put("altered", 3, "before"), put("private", 4, ""),
		&Command_AlterVersion{&AlterVersion{Bucket: 11, Key: []byte("altered"), Change: &AlterVersion_Acl{[]byte("after")}}},
		&Command_CreateUpload{&CreateUpload{Bucket: 11, Key: []byte("up"), Upload: vid(5), Initiator: "me", Acl: []byte("of the upload")}},
	}
}

// TestGoldenACL prints every record of a group that has ACLs.
func TestGoldenACL(t *testing.T) {
	r := newRig(t, Config{})
	for _, c := range aclScript() {
		r.must(r.doOn(testGroup, &Command{RequestId: vid(r.index + 1), Op: c}))
	}
	golden(t, "acl-v1.golden", r.dump(testGroup))
}

// TestReadsGoldenACL reads the records of the golden file.
func TestReadsGoldenACL(t *testing.T) {
	r := newRig(t, Config{})
	r.load(testGroup, "testdata/acl-v1.golden")
	for _, tt := range []struct {
		key     string
		version []byte
		want    string
	}{{"k", vid(1), "older"}, {"k", nil, "newer"}, {"altered", nil, "after"}, {"private", nil, ""}} {
		a, err := r.m.Lookup(r.db, testGroup, &LookupQuery{Bucket: 11, Key: []byte(tt.key), Version: tt.version})
		if err != nil || string(a.GetHead().GetAcl()) != tt.want {
			t.Errorf("%s: %v, %v, want the ACL %q", tt.key, a, err, tt.want)
		}
	}
}

// TestACLBounds: an ACL is bounded, and no page of versions carries any.
func TestACLBounds(t *testing.T) {
	r := newRig(t, Config{})
	long := make([]byte, MaxACLBytes+1)
	r.must(r.do(object("k", 1, func(c *PutVersion) { c.Acl = long[1:] })))
	r.refused(r.do(object("l", 2, func(c *PutVersion) { c.Acl = long })), api.InvalidArgument)
	r.refused(r.do(&Command_AlterVersion{&AlterVersion{Bucket: 7, Key: []byte("k"), Change: &AlterVersion_Acl{long}}}), api.InvalidArgument)
	r.refused(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("k"), Upload: vid(3), Acl: long}}), api.InvalidArgument)
	v := r.ask(&Query_Versions{&VersionsQuery{Bucket: 7, Max: 10}}).GetVersions().Versions[0]
	if len(v.Head.Acl) != 0 || v.Head.Size == 0 {
		t.Errorf("%+v", v)
	}
}

// TestACLOfLocked: the ACL of a locked version can be changed, as in S3, and nothing else changes with it.
func TestACLOfLocked(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(&Command_SetObjectLock{&SetObjectLock{Bucket: 7, Initial: true}}))
	r.must(r.do(object("k", 1, func(c *PutVersion) {
		c.Lock, c.Tags = &Lock{Mode: 2, Until: r.now + 1e18, LegalHold: true}, []byte("tags")
	})))
	find := func() *Head {
		t.Helper()
		a, err := r.m.Lookup(r.db, testGroup, &LookupQuery{Bucket: 7, Key: []byte("k")})
		if err != nil {
			t.Fatal(err)
		}
		return a.Head
	}
	before := find()
	r.must(r.do(&Command_AlterVersion{&AlterVersion{Bucket: 7, Key: []byte("k"), Change: &AlterVersion_Acl{[]byte("acl")}}}))
	after := find()
	if string(after.Acl) != "acl" {
		t.Fatalf("%+v", after)
	}
	if after.Acl = nil; !proto.Equal(before, after) {
		t.Errorf("before %+v, after %+v", before, after)
	}
}
