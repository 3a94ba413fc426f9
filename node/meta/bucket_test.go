package meta

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

func fence(epoch uint64) *Command_FenceBucket {
	return &Command_FenceBucket{&FenceBucket{Bucket: 7, Epoch: epoch}}
}

func unfence(epoch uint64) *Command_UnfenceBucket {
	return &Command_UnfenceBucket{&UnfenceBucket{Bucket: 7, Epoch: epoch}}
}

// TestFence: nothing gets past a fence, and a bucket is fenced only when it is empty.
func TestFence(t *testing.T) {
	upload := &Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}
	for name, c := range map[string]struct{ fill, clear isCommand_Op }{
		"key":    {object("k", 1), deletion(&DeleteItem{Key: []byte("k")})},
		"upload": {upload, &Command_AbortUpload{&AbortUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.must(r.do(&Command_SetBucketConfig{&SetBucketConfig{Bucket: 7, Name: "policy", Value: []byte("{}")}}))
			r.must(r.do(c.fill))
			r.refused(r.do(fence(1)), api.BucketNotEmpty)
			r.must(r.do(c.clear))
			r.must(r.do(fence(1)))
			r.must(r.do(fence(1))) // a repeat
			r.must(r.do(unfence(1)))
			if a := r.ask(&Query_BucketConfig{&BucketConfigQuery{Bucket: 7}}).GetBucketConfig(); len(a.Configs) != 1 {
				t.Fatalf("a cancelled deletion lost the configuration: %v", a)
			}
			r.must(r.do(fence(2)))
			for _, op := range []isCommand_Op{
				object("k", 5), deletion(&DeleteItem{Key: []byte("k")}), upload, partOf(1, 1, 1, 1), completionOf(), versioning(7, "enabled"),
				&Command_AbortUpload{&AbortUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}},
			} {
				r.refused(r.do(op), api.NoSuchBucket)
			}
			for _, q := range []isQuery_Q{
				&Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("k")}}, &Query_List{&ListQuery{Bucket: 7, Max: 1}},
				&Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("k"), Version: vid(1)}},
				&Query_BucketConfig{&BucketConfigQuery{Bucket: 7}}, &Query_Uploads{&UploadsQuery{Bucket: 7, Max: 1}},
				&Query_Upload{&UploadQuery{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}, &Query_Counters{&CountersQuery{Bucket: 7}},
				&Query_Versions{&VersionsQuery{Bucket: 7, Max: 1}},
			} {
				r.refused(asResult(r.query(testGroup, q)), api.NoSuchBucket)
			}
			r.must(r.do(&Command_FenceBucket{&FenceBucket{Bucket: 7, Epoch: 2, Forget: true}}))
			r.refused(r.do(object("k", 6)), api.NoSuchBucket)
			if empty, err := (&view{r: r.db, g: testGroup}).empty((&view{g: testGroup}).uintKey(spaceConfig, 7)); !empty || err != nil {
				t.Fatalf("configuration is left: %v", err)
			}
		})
	}
	r := newRig(t, Config{})
	r.must(r.do(versioning(7, "enabled")))
	r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
	r.refused(r.do(fence(1)), api.BucketNotEmpty) // a delete marker is a version
}

// TestFenceEpochs: messages of an earlier deletion that arrive late change nothing.
func TestFenceEpochs(t *testing.T) {
	r := newRig(t, Config{})
	r.refused(r.do(fence(0)), api.OperationAborted)
	r.must(r.do(fence(3)))
	r.refused(r.do(fence(2)), api.OperationAborted)
	r.must(r.do(fence(4))) // takes the deletion over
	r.refused(r.do(fence(3)), api.OperationAborted)
	r.refused(r.do(unfence(3)), api.OperationAborted)
	r.must(r.do(unfence(4)))
	r.refused(r.do(fence(4)), api.OperationAborted) // late: its deletion was cancelled
	r.must(r.do(object("k", 1)))
	r.must(r.do(unfence(9))) // of a deletion that never came to fence
	r.refused(r.do(fence(9)), api.OperationAborted)
	r.refused(r.do(fence(10)), api.BucketNotEmpty)
}

// TestFinalFence: once a deletion can only be finished, nothing opens the bucket again, and a later deletion takes over.
func TestFinalFence(t *testing.T) {
	final := func(epoch uint64) *Command_FenceBucket {
		return &Command_FenceBucket{&FenceBucket{Bucket: 7, Epoch: epoch, Final: true}}
	}
	r := newRig(t, Config{})
	r.must(r.do(object("k", 1)))
	r.refused(r.do(final(1)), api.BucketNotEmpty)
	r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
	r.must(r.do(fence(1)))
	r.must(r.do(final(1)))
	r.must(r.do(fence(1))) // changes nothing
	for _, epoch := range []uint64{1, 2, 1 << 60} {
		r.refused(r.do(unfence(epoch)), api.OperationAborted)
	}
	r.must(r.do(fence(2)))
	r.refused(r.do(unfence(2)), api.OperationAborted)
	r.must(r.do(&Command_FenceBucket{&FenceBucket{Bucket: 7, Epoch: 2, Forget: true}}))
	r.refused(r.do(unfence(3)), api.OperationAborted)
	r.refused(r.do(object("k", 2)), api.NoSuchBucket)
}

func TestBucketConfig(t *testing.T) {
	set := func(name, value string, change ...func(*SetBucketConfig)) *Command_SetBucketConfig {
		c := &SetBucketConfig{Bucket: 7, Name: name, Value: []byte(value)}
		for _, f := range change {
			f(c)
		}
		return &Command_SetBucketConfig{c}
	}
	at := func(epoch uint64) func(*SetBucketConfig) {
		return func(c *SetBucketConfig) { c.IfEpoch = proto.Uint64(epoch) }
	}
	remove := func(c *SetBucketConfig) { c.Remove = true }
	r := newRig(t, Config{})
	if e := r.must(r.do(set("policy", "one", at(0)))).GetConfigEpoch(); e != 1 {
		t.Fatalf("epoch %d", e)
	}
	r.refused(r.do(set("policy", "two", at(0))), api.ConditionalConflict)
	r.must(r.do(set("policy", "two", at(1))))
	r.must(r.do(set("cors", "c")))
	r.must(r.do(set("lifecycle", "l")))
	r.must(r.do(set("cors", "", remove)))
	r.must(r.do(set("versioning", "suspended")))
	a := r.ask(&Query_BucketConfig{&BucketConfigQuery{Bucket: 7}}).GetBucketConfig()
	if a.Epoch != 6 || a.Versioning != Versioning_VERSIONING_SUSPENDED || len(a.Configs) != 2 || string(a.Configs[1].Value) != "two" {
		t.Fatalf("configuration %v", a)
	}
	if one := r.ask(&Query_BucketConfig{&BucketConfigQuery{Bucket: 7, Name: "lifecycle"}}).GetBucketConfig(); len(one.Configs) != 1 {
		t.Fatalf("one configuration %v", one)
	}
	for _, op := range []isCommand_Op{
		set("", "x"), set("Policy", "x"), set("a/b", "x"), set("versioning", "off"), set("versioning", "", remove),
		set("policy", string(make([]byte, MaxConfigBytes+1))),
	} {
		r.refused(r.do(op), api.InvalidArgument)
	}
	for i := range configsMax - 2 {
		r.must(r.do(set("n-"+string(rune('a'+i%26))+string(rune('a'+i/26)), "x")))
	}
	r.refused(r.do(set("one-more", "x")), api.InvalidArgument)
	r.must(r.do(set("policy", "three")))
}
