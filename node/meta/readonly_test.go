package meta

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"shoal/node/api"
	"shoal/node/consensus"
)

// give gives a group an order under a number.
func (r *rig) give(g consensus.GroupID, epoch uint64, on bool, reason string) *Result {
	r.t.Helper()
	return r.doOn(g, &Command{RequestId: vid(r.index + 1000), Op: &Command_SetReadOnly{&SetReadOnly{Order: &ReadOnly{On: on, Reason: reason, Epoch: epoch, Since: 5}}}})
}

// freeze makes bucket 7 read-only, or ends that.
func (r *rig) freeze(on bool, reason string) *Result {
	doc := api.AppendReadOnly(nil, api.ReadOnlyOrder{On: on, Reason: reason})
	return r.do(&Command_SetBucketConfig{&SetBucketConfig{Bucket: 7, Name: api.ConfigReadOnly, Value: doc, Remove: len(doc) == 0}})
}

// clientWrites are commands of clients that change bucket 7, one of each kind.
func clientWrites() []isCommand_Op {
	key, up := []byte("k"), vid(50)
	return []isCommand_Op{
		object("k", 2), object("big", 3, sharded(1)), deletion(&DeleteItem{Key: key}),
		&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: key, Upload: vid(51), Initiator: "me"}},
		&Command_PutPart{&PutPart{Bucket: 7, Key: key, Upload: up, Number: 1, Stream: 9, Size: 1, Etag: md5Of("x"), Manifest: []byte("m")}},
		&Command_CompleteUpload{&CompleteUpload{Bucket: 7, Key: key, Upload: up, Manifest: []byte("w"), Size: 1, Etag: []byte("e-1"), Parts: []*CompletePart{{Number: 1, Etag: md5Of("md5"), Stream: 11}}}},
		&Command_AbortUpload{&AbortUpload{Bucket: 7, Key: key, Upload: up}},
		&Command_SetBucketConfig{&SetBucketConfig{Bucket: 7, Name: "policy", Value: []byte("{}")}}, versioning(7, "enabled"),
		&Command_SetObjectLock{&SetObjectLock{Bucket: 7, Mode: 1, Days: 1}},
		&Command_AlterVersion{&AlterVersion{Bucket: 7, Key: key, Change: &AlterVersion_Tags{[]byte("tags")}}},
		&Command_RenameObject{&RenameObject{Bucket: 7, From: key, To: []byte("l")}},
		&Command_Transition{&Transition{Bucket: 7, StorageClass: 1, Items: []*TransitionItem{{Key: key}}}},
		&Command_FenceBucket{&FenceBucket{Bucket: 7, Epoch: 1}},
	}
}

// TestReadOnly: nothing that a client asks for changes a byte, and the reason is told; what keeps the store whole
// goes on.
func TestReadOnly(t *testing.T) {
	for name, way := range map[string]struct {
		on, off func(r *rig) *Result
		says    string
	}{
		"store":  {func(r *rig) *Result { return r.give(testGroup, 4, true, "we move") }, func(r *rig) *Result { return r.give(testGroup, 5, false, "") }, "The store is read-only: we move"},
		"bucket": {func(r *rig) *Result { return r.freeze(true, "an audit") }, func(r *rig) *Result { return r.freeze(false, "") }, "The bucket is read-only: an audit"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.must(r.do(object("k", 1)))
			r.must(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("k"), Upload: vid(50), Initiator: "me"}}))
			r.must(r.do(&Command_PutPart{&PutPart{Bucket: 7, Key: []byte("k"), Upload: vid(50), Number: 1, Stream: 11, Size: 1, Etag: md5Of("md5"), Manifest: []byte("m")}}))
			r.must(way.on(r))
			before := cutHeader(r.dump(testGroup))
			for _, op := range clientWrites() {
				res := r.do(op)
				r.refused(res, api.ReadOnly)
				if res.Detail != way.says {
					t.Errorf("%T: %q", op, res.Detail)
				}
				if after := cutHeader(r.dump(testGroup)); after != before {
					t.Fatalf("%T changed\n%s\nto\n%s", op, before, after)
				}
			}
			if string(r.head("k", nil).Version) != string(vid(1)) {
				t.Error("the object cannot be read")
			}
			if why := r.ask(&Query_BucketConfig{&BucketConfigQuery{Bucket: 7}}).GetBucketConfig().ReadOnly; why != way.says {
				t.Errorf("the bucket's configuration says %q", why)
			}
			for _, op := range []isCommand_Op{
				&Command_Condemn{&Condemn{Owners: []*StreamOwner{{Version: vid(60), Stream: 4}}}}, &Command_GarbageDone{&GarbageDone{Seqs: []uint64{9}}},
				&Command_SetCursor{&SetCursor{Name: "lifecycle", Seq: 1}}, &Command_FenceBucket{&FenceBucket{Bucket: 8, Epoch: 1, Forget: true}},
				&Command_UnfenceBucket{&UnfenceBucket{Bucket: 8, Epoch: 1}}, &Command_SetObjectLock{&SetObjectLock{Bucket: 9, Initial: true}},
			} {
				r.must(r.do(op))
			}
			if name == "bucket" {
				r.must(r.do(&Command_PutVersion{&PutVersion{Bucket: 10, Key: []byte("k"), Version: vid(70), Etag: []byte("e"), Manifest: []byte("m")}}))
			}
			r.reopen(r.disk)
			r.refused(r.do(object("k", 2)), api.ReadOnly)
			r.must(way.off(r))
			r.must(r.do(object("k", 2)))
			r.must(r.do(completionOf(func(c *CompleteUpload) {
				c.Key, c.Upload, c.Parts, c.Size = []byte("k"), vid(50), []*CompletePart{{Number: 1, Etag: md5Of("md5"), Stream: 11}}, 1
			})))
		})
	}
}

// TestReadOnlyKnowsEveryCommand: whoever adds a command says on which side it is.
func TestReadOnlyKnowsEveryCommand(t *testing.T) {
	goesOn := " init_cluster finish_create_bucket cancel_delete_bucket put_member remove_member put_invite use_invite put_placement drop_placements put_kek" +
		" set_current_kek put_credential delete_credential next_sequence set_member put_group set_setting prepare_site found_group put_identity delete_identity" +
		" switch_root note_key_uses put_acme_item delete_acme_item unfence_bucket condemn garbage_done set_cursor recode recode_part set_read_only "
	fields := new(Command).ProtoReflect().Descriptor().Oneofs().ByName("op").Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		c := new(Command)
		c.ProtoReflect().Set(f, protoreflect.ValueOfMessage(c.ProtoReflect().NewField(f).Message()))
		if _, writes := c.writes(); writes == strings.Contains(goesOn, " "+string(f.Name())+" ") {
			t.Errorf("%s: writes is %v", f.Name(), writes)
		}
	}
}

// TestReadOnlyOrders: the system group numbers orders, and no group goes back to one before its last.
func TestReadOnlyOrders(t *testing.T) {
	r := newRig(t, Config{})
	for _, op := range systemScript()[:2] {
		r.must(r.sys(op))
	}
	first := r.must(r.give(consensus.SystemGroup, 0, true, "a")).GetReadOnly()
	if first.Epoch != 1 || first.Since != r.now || !first.On || first.Reason != "a" {
		t.Fatalf("%v", first)
	}
	if again := r.must(r.give(consensus.SystemGroup, 0, true, "a")).GetReadOnly(); again.Epoch != 1 || again.Since != first.Since {
		t.Errorf("the same again is %v", again)
	}
	for _, op := range []isCommand_Op{
		&Command_CreateBucket{&CreateBucket{Name: "new", Owner: "me"}}, &Command_BeginDeleteBucket{&BeginDeleteBucket{Name: "photos"}},
		&Command_FinishDeleteBucket{&FinishDeleteBucket{Name: "photos", Id: 1, Epoch: 1}},
	} {
		r.refused(r.sys(op), api.ReadOnly)
	}
	r.must(r.sys(&Command_PutIdentity{&PutIdentity{Identity: userNamed("alice", nil)}})) // who may read can still be changed
	if second := r.must(r.give(consensus.SystemGroup, 0, false, "")).GetReadOnly(); second.Epoch != 2 {
		t.Errorf("the second order is %v", second)
	}
	r.must(r.sys(&Command_CreateBucket{&CreateBucket{Name: "new", Owner: "me"}}))

	r.refused(r.give(testGroup, 0, true, "a"), api.InvalidArgument)
	r.refused(r.give(testGroup, 1, true, strings.Repeat("a", api.ReasonMax+1)), api.InvalidArgument)
	r.must(r.give(testGroup, 2, false, ""))
	r.refused(r.give(testGroup, 1, true, "a"), api.OperationAborted) // late
	r.must(r.do(object("k", 1)))
	r.must(r.give(testGroup, 3, true, "b"))
	r.must(r.give(testGroup, 3, true, "b"))
	r.refused(r.do(object("k", 2)), api.ReadOnly)
}

// TestReadOnlyBegun: of a write that was carried out before, and comes again because its answer was lost, the first
// answer is told.
func TestReadOnlyBegun(t *testing.T) {
	r := newRig(t, Config{})
	put := func() *Result { return r.doOn(testGroup, &Command{RequestId: vid(99), Op: object("k", 1)}) }
	first := r.must(put()).GetWritten()
	r.must(r.give(testGroup, 1, true, "a"))
	if again := r.must(put()).GetWritten(); again.Mtime != first.Mtime {
		t.Errorf("%v, then %v", first, again)
	}
	r.refused(r.doOn(testGroup, &Command{RequestId: vid(98), Op: object("k", 2)}), api.ReadOnly)
	r.must(r.give(testGroup, 2, false, ""))
	r.must(r.doOn(testGroup, &Command{RequestId: vid(97), Op: object("k", 2)}))
}

// TestReadOnlyQuery lists the buckets that are read-only by themselves, page by page.
func TestReadOnlyQuery(t *testing.T) {
	r := newRig(t, Config{})
	for id := uint64(1); id <= 6; id++ {
		doc := api.AppendReadOnly(nil, api.ReadOnlyOrder{On: id%2 == 0, Reason: "r"})
		r.must(r.do(&Command_SetBucketConfig{&SetBucketConfig{Bucket: id, Name: api.ConfigReadOnly, Value: doc, Remove: len(doc) == 0}}))
	}
	r.must(r.give(testGroup, 7, true, "all"))
	var ids []uint64
	for q := (&ReadOnlyQuery{Max: 2}); ; q.After = ids[len(ids)-1] {
		a := r.ask(&Query_ReadOnly{q}).GetReadOnly()
		if a.Order.Epoch != 7 || !a.Order.On || a.Order.Reason != "all" {
			t.Fatalf("%v", a)
		}
		if ids = append(ids, a.Buckets...); !a.Truncated {
			break
		}
	}
	if len(ids) != 3 || ids[0] != 2 || ids[2] != 6 {
		t.Errorf("buckets %v", ids)
	}
	for _, doc := range []string{"", "{}", `{"on":false}`, `{"on":true,"reason":"` + strings.Repeat("a", 300) + `"}`, "x"} {
		r.refused(r.do(&Command_SetBucketConfig{&SetBucketConfig{Bucket: 1, Name: api.ConfigReadOnly, Value: []byte(doc)}}), api.InvalidArgument)
	}
}

// TestGoldenReadOnly prints the records of orders.
func TestGoldenReadOnly(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.give(testGroup, 3, true, "we move"))
	r.must(r.freeze(true, "an audit"))
	golden(t, "readonly-v1.golden", r.dump(testGroup))
}
