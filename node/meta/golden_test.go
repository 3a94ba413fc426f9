package meta

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
	"shoal/node/consensus"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares text with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func TestGoldenKeys(t *testing.T) { golden(t, "keys-v1.golden", keyLines()) }

// keyLines prints one key of each kind.
func keyLines() string {
	var b strings.Builder
	id, _ := toVersionID(vid(7))
	a := []byte("a")
	line := func(name string, f func(v *view) []byte) {
		fmt.Fprintf(&b, "%-22s %x\n", name, f(&view{g: 0x01020304}))
	}
	line("header", func(v *view) []byte { return v.key(spaceHeader) })
	line("result", func(v *view) []byte { return v.resultKey(vid(1)) })
	line("queue", func(v *view) []byte { return v.queueKey(queueRetired, 9) })
	line("bucket", func(v *view) []byte { return v.uintKey(spaceBucket, 7) })
	line("config", func(v *view) []byte { return v.configKey(7, "policy") })
	line("current", func(v *view) []byte { return v.objectKey(spaceCurrent, 7, []byte("a\x00b")) })
	line("buried", func(v *view) []byte { return v.objectKey(spaceBuried, 7, []byte("a\x00b")) })
	line("version", func(v *view) []byte { return v.objectSeqKey(spaceVersion, 7, a, ^uint64(5)) })
	line("index", func(v *view) []byte { return v.objectIDKey(spaceIndex, 7, a, id) })
	line("index of null", func(v *view) []byte { return v.objectIDKey(spaceIndex, 7, a, nullIndex) })
	line("inline", func(v *view) []byte { return v.objectIDKey(spaceInline, 7, a, id) })
	line("manifest of version", func(v *view) []byte { return v.idKey(spaceManifest, id) })
	line("manifest of part", func(v *view) []byte { return v.streamKey(spaceManifest, id, 3) })
	line("parts", func(v *view) []byte { return v.idKey(spaceParts, id) })
	line("upload", func(v *view) []byte { return v.objectSeqKey(spaceUpload, 7, a, 5) })
	line("part", func(v *view) []byte { return v.partNumberKey(id, 10000) })
	line("stream", func(v *view) []byte { return v.streamKey(spaceStream, id, 3) })
	line("owner", func(v *view) []byte { return v.idKey(spaceOwner, id) })
	line("garbage", func(v *view) []byte { return v.uintKey(spaceGarbage, 3) })
	line("feed", func(v *view) []byte { return v.uintKey(spaceFeed, 3) })
	line("cursor", func(v *view) []byte { return v.nameKey(spaceCursor, "lifecycle") })
	line("directory", func(v *view) []byte { return v.nameKey(spaceDirectory, "photos") })
	line("bucket of owner", func(v *view) []byte { return v.ownedKey("me", "photos") })
	line("identity", func(v *view) []byte { return v.identityKey(IdentityKind_IDENTITY_USER, "alice") })
	line("change of identity", func(v *view) []byte { return v.uintKey(spaceChanged, 5) })
	line("item of ACME", func(v *view) []byte { return v.nameKey(spaceACME, "account") })
	line("sealed key", func(v *view) []byte { return v.kekKey(1) })
	return b.String()
}

// TestGoldenState runs one of each command and prints every record: a release that changes one
// must read the old one.
func TestGoldenState(t *testing.T) {
	r := newRig(t, Config{})
	for _, c := range systemScript() {
		r.must(r.sys(c))
	}
	golden(t, "system-v1.golden", r.dump(consensus.SystemGroup))
	for _, c := range partitionScript() {
		r.must(r.doOn(testGroup, &Command{RequestId: vid(r.index + 1), Agreed: r.now - int64(time.Second), Op: c}))
	}
	golden(t, "partition-v1.golden", r.dump(testGroup))
}

// TestGoldenIdentities does the same for users, groups, policies and what access keys say.
func TestGoldenIdentities(t *testing.T) {
	r := newRig(t, Config{})
	for _, c := range []isCommand_Op{
		&Command_PutIdentity{&PutIdentity{Identity: policyNamed("logs")}},
		&Command_PutIdentity{&PutIdentity{Identity: groupNamed("staff", "readonly")}},
		&Command_PutIdentity{&PutIdentity{Identity: userNamed("alice", []string{"staff"}, "logs")}},
		&Command_PutIdentity{&PutIdentity{Identity: userNamed("bob", nil)}},
		&Command_DeleteIdentity{&DeleteIdentity{Kind: IdentityKind_IDENTITY_USER, Name: "bob"}},
		&Command_PutCredential{&PutCredential{Credential: &Credential{
			AccessKeyId: "SHOLALICE", Sealed: []byte("sealed"), Principal: "user:alice", Disabled: true, Expires: testEpoch + 1, SessionPolicy: []byte("{}"), Description: "backup",
		}}},
	} {
		r.must(r.sys(c))
	}
	golden(t, "identities-v1.golden", r.dump(consensus.SystemGroup))
}

// TestGoldenACME does the same for what gateways share of their certificates.
func TestGoldenACME(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.putACME(&AcmeItem{Name: "account", Sealed: []byte("sealed key")}))
	r.must(r.putACME(&AcmeItem{Name: "s3.example", Sealed: []byte("sealed certificate"), Expires: testEpoch + int64(time.Hour)}))
	golden(t, "acme-v1.golden", r.dump(consensus.SystemGroup))
}

// TestGoldenInitial does the same for a bucket whose group does not know yet what it was created with.
func TestGoldenInitial(t *testing.T) {
	r := newRig(t, Config{})
	r.init()
	r.must(r.sys(&Command_CreateBucket{&CreateBucket{Name: "shared", Owner: "me", Configs: []*BucketConfig{
		{Name: api.ConfigACL, Value: []byte("granted")}, {Name: api.ConfigOwnership, Value: []byte("owned")},
	}}}))
	golden(t, "initial-v1.golden", r.dump(consensus.SystemGroup))
}

// TestGoldenClasses does the same for storage classes.
func TestGoldenClasses(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(object("small", 1, inClass(api.ReducedRedundancy))))
	r.must(r.do(object("large", 2, inClass(api.ReducedRedundancy), sharded(1))))
	r.must(r.do(object("moved", 3, sharded(1))))
	r.transition(api.ReducedRedundancy, &TransitionItem{Key: []byte("moved"), Mtime: r.head("moved", nil).Mtime})
	r.must(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("open"), Upload: vid(51), Initiator: "me", StorageClass: 1}}))
	golden(t, "classes-v1.golden", r.dump(testGroup))
}

func (r *rig) dump(g consensus.GroupID) string {
	var b strings.Builder
	n := len(consensus.StatePrefix(g))
	v := &view{r: r.db, g: g}
	err := v.scan(consensus.StatePrefix(g), func(suffix, val []byte) (bool, error) {
		fmt.Fprintf(&b, "%c %x\n  %x\n", suffix[0], suffix[1:], val)
		return true, nil
	})
	if err != nil || n != prefixLen {
		r.t.Fatal(n, err)
	}
	return b.String()
}

func partitionScript() []isCommand_Op {
	key := func(s string) []byte { return []byte(s) }
	up := vid(50)
	part := func(n uint32, stream, size uint64) *Command_PutPart {
		return &Command_PutPart{&PutPart{
			Bucket: 7, Key: key("big"), Upload: up, Number: n, Stream: stream, Size: size, Etag: md5Of("md5"),
			ChecksumAlgorithm: 32, ChecksumValue: []byte("sum"), Manifest: []byte("part manifest"),
		}}
	}
	return []isCommand_Op{
		&Command_PutVersion{&PutVersion{
			Bucket: 7, Key: key("small"), Version: vid(1), Size: 5, Etag: []byte("5d41402abc4b2a76b9719d911017c592"),
			ChecksumAlgorithm: 32, ChecksumValue: []byte("AAAAAAAAAAA="), Metadata: []byte("metadata"),
			Inline: []byte("sealed"), WrappedDek: []byte("dek"),
		}},
		&Command_SetBucketConfig{&SetBucketConfig{Bucket: 7, Name: "versioning", Value: []byte("enabled")}},
		&Command_SetBucketConfig{&SetBucketConfig{Bucket: 7, Name: "policy", Value: []byte("{}")}},
		&Command_PutVersion{&PutVersion{
			Bucket: 7, Key: key("small"), Version: vid(2), Size: 1 << 30, Etag: []byte("e"), Manifest: []byte("manifest"), Streams: []uint64{1, 2},
		}},
		&Command_DeleteObjects{&DeleteObjects{Bucket: 7, Items: []*DeleteItem{{Key: key("small")}}}},
		&Command_PutVersion{&PutVersion{Bucket: 7, Key: key("gone"), Version: vid(3), Size: 9, Etag: []byte("e"), Manifest: []byte("manifest")}},
		&Command_DeleteObjects{&DeleteObjects{Bucket: 7, Items: []*DeleteItem{{Key: key("gone"), Version: vid(3)}}}},
		&Command_CreateUpload{&CreateUpload{
			Bucket: 7, Key: key("big"), Upload: up, Metadata: []byte("metadata"), ChecksumAlgorithm: 32, ChecksumType: 1, Initiator: "me",
		}},
		part(1, 11, 5<<20), part(2, 12, 1), part(2, 13, 2),
		&Command_CompleteUpload{&CompleteUpload{
			Bucket: 7, Key: key("big"), Upload: up, Manifest: []byte("whole"), Size: 5<<20 + 2, Etag: []byte("e-2"), Streams: []uint64{99},
			ChecksumAlgorithm: 32, ChecksumType: 1, ChecksumValue: []byte("sum-2"),
			Parts: []*CompletePart{{Number: 1, Etag: md5Of("md5"), Stream: 11}, {Number: 2, Etag: md5Of("md5"), Stream: 13}},
		}},
		&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: key("open"), Upload: vid(51), Initiator: "me"}},
		&Command_PutPart{&PutPart{
			Bucket: 7, Key: key("open"), Upload: vid(51), Number: 3, Stream: 21, Size: 1, Etag: md5Of("md5"), Manifest: []byte("m"),
		}},
		&Command_Condemn{&Condemn{Owners: []*StreamOwner{{Version: vid(60), Stream: 4}}}},
		&Command_SetCursor{&SetCursor{Name: "replication", Seq: 2}},
		&Command_FenceBucket{&FenceBucket{Bucket: 8, Epoch: 1}},
		&Command_SetObjectLock{&SetObjectLock{Bucket: 9, Initial: true}},
		&Command_SetObjectLock{&SetObjectLock{Bucket: 9, Mode: 1, Days: 30}},
		&Command_PutVersion{&PutVersion{Bucket: 9, Key: key("kept"), Version: vid(4), Size: 5, Etag: []byte("e"), Inline: []byte("sealed"), WrappedDek: []byte("dek")}},
		&Command_PutVersion{&PutVersion{
			Bucket: 9, Key: key("asked"), Version: vid(5), Size: 5, Etag: []byte("e"), Inline: []byte("sealed"), WrappedDek: []byte("dek"),
			Lock: &Lock{Mode: 2, Until: testEpoch + 1e18, LegalHold: true}, Tags: []byte("tags"),
		}},
		&Command_AlterVersion{&AlterVersion{Bucket: 9, Key: key("kept"), Change: &AlterVersion_LegalHold{true}}},
		&Command_AlterVersion{&AlterVersion{Bucket: 7, Key: key("big"), Change: &AlterVersion_Tags{[]byte("tags")}}},
		&Command_CreateUpload{&CreateUpload{
			Bucket: 9, Key: key("up"), Upload: vid(52), Lock: &Lock{Mode: 1, Until: testEpoch + 1e18}, Tags: []byte("tags"), Initiator: "me",
		}},
		&Command_PutVersion{&PutVersion{Bucket: 10, Key: key("old name"), Version: vid(6), Size: 5, Etag: []byte("e"), Inline: []byte("sealed"), WrappedDek: []byte("dek")}},
		&Command_RenameObject{&RenameObject{Bucket: 10, From: key("old name"), To: key("new name")}},
	}
}

func systemScript() []isCommand_Op {
	member := &Member{
		PeerId: "12D3KooW", Roles: []string{"node"}, Site: "default", Addrs: []string{"/ip4/127.0.0.1/tcp/4001"}, Serial: 3,
		Drives: []*Drive{{Id: vid(9), Node: "12D3KooW", Site: "default", Weight: 100, Path: "/d"}},
	}
	return []isCommand_Op{
		&Command_InitCluster{&InitCluster{Settings: &Settings{
			Cluster: vid(1), Partitions: 16, DataShards: 4, ParityShards: 2, InlineMax: 16 << 10, Region: "us-east-1",
		}}},
		&Command_CreateBucket{&CreateBucket{Name: "photos", Owner: "me", Location: "eu"}},
		&Command_CreateBucket{&CreateBucket{Name: "music", Owner: "me"}},
		&Command_CreateBucket{&CreateBucket{Name: "vault", Owner: "me", ObjectLock: true}},
		&Command_BeginDeleteBucket{&BeginDeleteBucket{Name: "music"}},
		&Command_PutMember{&PutMember{Member: member}},
		&Command_PutMember{&PutMember{Member: &Member{PeerId: "gone", Serial: 1}}},
		&Command_RemoveMember{&RemoveMember{PeerId: "gone"}},
		&Command_PutInvite{&PutInvite{Invite: &Invite{
			TokenId: []byte("token"), SecretHash: bytes.Repeat([]byte{1}, 32), Roles: []string{"gateway"}, Expires: testEpoch + 3600e9,
		}}},
		&Command_PutPlacement{&PutPlacement{Placement: &Placement{Epoch: 1, Table: []byte("table")}}},
		&Command_PutKek{&PutKEK{Kek: &KEK{Id: 1, Sealed: []byte("sealed")}, Current: true}},
		&Command_PutCredential{&PutCredential{Credential: &Credential{AccessKeyId: "AKIA", Sealed: []byte("s"), Principal: "root"}}},
		&Command_NextSequence{&NextSequence{Name: "replica", Count: 3}},
	}
}

// TestHandWrittenRecords checks that what is coded by hand is the message it claims to be.
func TestHandWrittenRecords(t *testing.T) {
	h := head{
		version: versionID(vid(3)), size: 1 << 40, mtime: testEpoch, etag: []byte("etag"), flags: flagInline | flagNull, seq: 300,
		algorithm: 32, sumType: 1, sum: []byte("sum"), parts: 10000, metadata: []byte("metadata"), lockMode: 2, until: testEpoch + 1,
		tags: []byte("tags"), acl: []byte("acl"),
	}
	for name, c := range map[string]head{"full": h, "least": {version: h.version}, "marker": {version: h.version, flags: flagDeleteMarker, mtime: 1, seq: 1}} {
		t.Run(name, func(t *testing.T) {
			want, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.message())
			if err != nil {
				t.Fatal(err)
			}
			got := c.append(nil)
			if !bytes.Equal(got, want) {
				t.Fatalf("head %x, message %x", got, want)
			}
			var back head
			if !back.parse(got) || !bytes.Equal(back.append(nil), got) {
				t.Fatalf("parsed %+v", back)
			}
			if !back.parseListing(got) || back.etag != nil != (c.etag != nil) || back.metadata != nil {
				t.Fatalf("for a listing %+v", back)
			}
		})
	}
	r := newRig(t, Config{})
	for _, c := range partitionScript() {
		r.must(r.do(c))
	}
	for _, e := range r.ask(&Query_Feed{&FeedQuery{}}).GetFeed().Events {
		raw, _, err := (&view{r: r.db, g: testGroup}).get((&view{g: testGroup}).uintKey(spaceFeed, e.Seq))
		again, merr := proto.MarshalOptions{Deterministic: true}.Marshal(e)
		if err != nil || merr != nil || !bytes.Equal(raw, again) {
			t.Fatalf("event %x, message %x, %v, %v", raw, again, err, merr)
		}
	}
}
