package security

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/p2p"
)

// A gateway that was taken over sends the nodes what it likes: it has that gateway's identity, and the software is the
// attacker's. What is locked stays.

func gatewayAttacks() []ringAttack {
	return []ringAttack{
		{"A18 gateway deletes locked versions", gatewayDeletes},
		{"A18 gateway says what time it is", gatewayTime},
		{"A18 gateway ends or shortens a retention", gatewayShortens},
		{"A18 gateway renames a locked version away", gatewayRenames},
		{"A18 gateway writes over a version's name", gatewayOverwrites},
		{"A18 gateway completes and aborts uploads over a version", gatewayUploads},
		{"A18 gateway turns object lock and versioning off", gatewayUnlocks},
		{"A18 gateway has a full bucket forgotten", gatewayForgets},
		{"A18 gateway opens a bucket that is being forgotten", gatewayReopens},
		{"A18 gateway gives a version other content", gatewayRecodes},
		{"A18 gateway declares the shards of a version garbage", gatewayCondemns},
		{"A24 gateway sends the commands of nodes", gatewayCommands},
		{"A24 gateway speaks the protocols of nodes", gatewayMethods},
		{"A24 gateway invites and removes members", gatewayMembers},
	}
}

// bucketAttack runs an attack on a vault, which must be intact behind it.
func bucketAttack(t *testing.T, r *ring, name string, attack func(*vault, *lockedVersion)) {
	t.Helper()
	v := r.vault(t, name)
	for i := range v.locked {
		attack(v, &v.locked[i])
	}
	v.intact(t)
}

// mayBypass tells whether a gateway may do something to a version by saying that whoever asked is allowed to: that is what
// governance is, and whoever has a gateway has the secret of root, who is allowed to.
func (l *lockedVersion) mayBypass() bool { return l.mode == "GOVERNANCE" }

func gatewayDeletes(t *testing.T, r *ring) {
	bucketAttack(t, r, "a18-deletes", func(v *vault, l *lockedVersion) {
		for _, item := range []*meta.DeleteItem{
			{Version: l.id}, {Version: l.id, Seq: l.seq}, {Version: l.id, Bypass: true}, {Version: l.id, Seq: l.seq, Bypass: true, IfMatch: []byte("*")},
		} {
			if item.Bypass && l.mayBypass() {
				continue
			}
			item.Key = []byte(l.key)
			v.denied(t, &meta.Command{Op: &meta.Command_DeleteObjects{DeleteObjects: &meta.DeleteObjects{Bucket: v.id, Items: []*meta.DeleteItem{item}}}})
		}
		for _, item := range []*meta.DeleteItem{{NullVersion: true, Bypass: true}, {NullVersion: true, Version: l.id, Bypass: true}, {Version: l.id[:8], Bypass: true}, {Bypass: true}} {
			item.Key = []byte(l.key) // leaves a marker at most
			_, _ = v.gateway.propose(t, v.group, &meta.Command{Op: &meta.Command_DeleteObjects{DeleteObjects: &meta.DeleteObjects{Bucket: v.id, Items: []*meta.DeleteItem{item}}}})
		}
	})
}

// denied sends a deletion that a lock must forbid.
func (v *vault) denied(t *testing.T, cmd *meta.Command) {
	t.Helper()
	res, err := v.gateway.propose(t, v.group, cmd)
	must(t, err)
	for _, d := range res.GetDeleted().GetItems() {
		if kind, _ := api.KindFromWire(d.GetCode()); kind != api.AccessDenied {
			t.Errorf("%v: %v, want AccessDenied", cmd, d)
		}
	}
}

// gatewayTime stamps its commands with a time at which all retentions are over, as only the leader of a group may.
func gatewayTime(t *testing.T, r *ring) {
	late := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	bucketAttack(t, r, "a18-time", func(v *vault, l *lockedVersion) {
		v.denied(t, &meta.Command{Stamp: late, Agreed: late, Op: &meta.Command_DeleteObjects{DeleteObjects: &meta.DeleteObjects{
			Bucket: v.id, Items: []*meta.DeleteItem{{Key: []byte(l.key), Version: l.id}},
		}}})
		_, err := v.gateway.propose(t, v.group, &meta.Command{Stamp: late, Agreed: late, Op: &meta.Command_AlterVersion{AlterVersion: &meta.AlterVersion{
			Bucket: v.id, Key: []byte(l.key), Version: l.id, Change: &meta.AlterVersion_Retention{Retention: &meta.Lock{}},
		}}})
		if l.mode != "" {
			refused(t, "a retention taken off "+l.key, err)
		}
	})
}

func gatewayShortens(t *testing.T, r *ring) {
	until := time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	bucketAttack(t, r, "a18-shortens", func(v *vault, l *lockedVersion) {
		if l.mode == "" {
			return // it has no retention
		}
		for _, to := range []*meta.Lock{{}, {Mode: 2, Until: until - 1}, {Mode: 1, Until: until - 1}, {Mode: 1, Until: 1}, {Mode: 2, Until: 1}, {Mode: 3, Until: until}, {Mode: 0, Until: until}} {
			for _, bypass := range []bool{false, true} {
				if bypass && l.mayBypass() {
					continue
				}
				_, err := v.gateway.propose(t, v.group, &meta.Command{Op: &meta.Command_AlterVersion{AlterVersion: &meta.AlterVersion{
					Bucket: v.id, Key: []byte(l.key), Version: l.id, Bypass: bypass, Change: &meta.AlterVersion_Retention{Retention: to},
				}}})
				refused(t, l.key+": "+to.String(), err)
			}
		}
	})
}

func gatewayRenames(t *testing.T, r *ring) {
	bucketAttack(t, r, "a18-renames", func(v *vault, l *lockedVersion) {
		_, err := v.gateway.propose(t, v.group, &meta.Command{Op: &meta.Command_RenameObject{RenameObject: &meta.RenameObject{
			Bucket: v.id, From: []byte(l.key), To: []byte("away"),
		}}})
		refused(t, "rename of "+l.key, err)
	})
}

func gatewayOverwrites(t *testing.T, r *ring) {
	bucketAttack(t, r, "a18-overwrites", func(v *vault, l *lockedVersion) {
		for _, key := range []string{l.key, "other"} {
			for i, put := range []*meta.PutVersion{
				{Size: 1, Inline: []byte("x"), WrappedDek: []byte("x")},
				{Size: 1, Manifest: []byte("x")},
				{Size: uint64(len(l.content)), Inline: []byte("x"), WrappedDek: []byte("x")},
				{Size: uint64(len(l.content)), Manifest: []byte("x"), Streams: []uint64{0, 1}},
			} {
				put.Bucket, put.Key, put.Version, put.Etag = v.id, []byte(key), l.id, []byte{byte('a' + i)}
				_, err := v.gateway.propose(t, v.group, &meta.Command{Op: &meta.Command_PutVersion{PutVersion: put}})
				if key == l.key || len(l.manifest) > 0 && len(put.Manifest) > 0 {
					refused(t, l.key+": "+put.String(), err)
				}
			}
		}
	})
}

func gatewayUploads(t *testing.T, r *ring) {
	bucketAttack(t, r, "a18-uploads", func(v *vault, l *lockedVersion) {
		for _, key := range []string{l.key, "other"} {
			k, sum := []byte(key), make([]byte, 16)
			for i, op := range []*meta.Command{
				{Op: &meta.Command_AbortUpload{AbortUpload: &meta.AbortUpload{Bucket: v.id, Key: k, Upload: l.id}}},
				{Op: &meta.Command_CreateUpload{CreateUpload: &meta.CreateUpload{Bucket: v.id, Key: k, Upload: l.id}}},
				{Op: &meta.Command_PutPart{PutPart: &meta.PutPart{Bucket: v.id, Key: k, Upload: l.id, Number: 1, Stream: 7, Size: 1, Etag: sum, Manifest: []byte("x")}}},
				{Op: &meta.Command_CompleteUpload{CompleteUpload: &meta.CompleteUpload{
					Bucket: v.id, Key: k, Upload: l.id, Size: 1, Etag: []byte("x"), Manifest: []byte("x"), Parts: []*meta.CompletePart{{Number: 1, Etag: sum, Stream: 7}},
				}}},
				{Op: &meta.Command_AbortUpload{AbortUpload: &meta.AbortUpload{Bucket: v.id, Key: k, Upload: l.id}}},
			} {
				_, err := v.gateway.propose(t, v.group, op)
				if len(l.manifest) > 0 || i == 0 || i == 3 && key == l.key {
					refused(t, key+": "+op.String(), err)
				}
			}
		}
	})
}

func gatewayUnlocks(t *testing.T, r *ring) {
	v := r.vault(t, "a18-unlocks")
	for _, op := range []*meta.Command{
		{Op: &meta.Command_SetBucketConfig{SetBucketConfig: &meta.SetBucketConfig{Bucket: v.id, Name: "versioning", Value: []byte("suspended")}}},
		{Op: &meta.Command_SetBucketConfig{SetBucketConfig: &meta.SetBucketConfig{Bucket: v.id, Name: "versioning", Value: []byte("off")}}},
		{Op: &meta.Command_SetBucketConfig{SetBucketConfig: &meta.SetBucketConfig{Bucket: v.id, Name: "versioning", Remove: true}}},
		{Op: &meta.Command_SetObjectLock{SetObjectLock: &meta.SetObjectLock{Bucket: v.id, Mode: 9, Days: 1}}},
	} {
		_, err := v.gateway.propose(t, v.group, op)
		refused(t, op.String(), err)
	}
	_, err := v.gateway.propose(t, v.group, &meta.Command{Op: &meta.Command_SetObjectLock{SetObjectLock: &meta.SetObjectLock{Bucket: v.id}}})
	must(t, err) // new versions get no retention, which is no matter of old ones
	for _, l := range v.locked {
		v.denied(t, &meta.Command{Op: &meta.Command_DeleteObjects{DeleteObjects: &meta.DeleteObjects{Bucket: v.id, Items: []*meta.DeleteItem{{Key: []byte(l.key), Version: l.id}}}}})
	}
	v.intact(t)
}

// forget sends the commands that end the deletion of a bucket.
func (v *vault) forget(t *testing.T, epoch uint64) error {
	t.Helper()
	_, err := v.gateway.propose(t, consensus.SystemGroup, &meta.Command{Op: &meta.Command_FinishDeleteBucket{
		FinishDeleteBucket: &meta.FinishDeleteBucket{Name: v.bucket, Id: v.id, Epoch: epoch},
	}})
	return err
}

func (v *vault) beginDelete(t *testing.T) (epoch uint64) {
	t.Helper()
	res, err := v.gateway.propose(t, consensus.SystemGroup, &meta.Command{Op: &meta.Command_BeginDeleteBucket{BeginDeleteBucket: &meta.BeginDeleteBucket{Name: v.bucket, TakeOverAfter: 1}}})
	must(t, err)
	return res.GetBucket().GetDeleteEpoch()
}

func (v *vault) fence(t *testing.T, f *meta.FenceBucket) error {
	t.Helper()
	f.Bucket = v.id
	_, err := v.gateway.propose(t, v.group, &meta.Command{Op: &meta.Command_FenceBucket{FenceBucket: f}})
	return err
}

// gatewayForgets leaves out that the bucket's group must say first that the bucket is empty: a bucket that is not in the
// directory is gone with all that is in it.
func gatewayForgets(t *testing.T, r *ring) {
	v := r.vault(t, "a18-forgets")
	refused(t, "forgotten, though not being deleted", v.forget(t, 0))
	refused(t, "forgotten in a deletion to come", v.forget(t, 1))
	epoch := v.beginDelete(t)
	refused(t, "forgotten with versions in it", v.forget(t, epoch))
	for _, e := range []uint64{epoch, epoch + 1, 1 << 62} {
		refused(t, "fenced with versions in it", v.fence(t, &meta.FenceBucket{Epoch: e, Forget: true}))
		refused(t, "fenced with versions in it", v.fence(t, &meta.FenceBucket{Epoch: e, Final: true}))
	}
	_, err := v.gateway.propose(t, v.group, &meta.Command{Op: &meta.Command_UnfenceBucket{UnfenceBucket: &meta.UnfenceBucket{Bucket: v.id, Epoch: epoch}}})
	must(t, err)
	refused(t, "forgotten with versions in it", v.forget(t, epoch))
	v.intact(t)
	_, err = v.gateway.propose(t, consensus.SystemGroup, &meta.Command{Op: &meta.Command_CancelDeleteBucket{CancelDeleteBucket: &meta.CancelDeleteBucket{Name: v.bucket, Id: v.id, Epoch: epoch}}})
	must(t, err)
	v.intact(t)
}

// gatewayReopens lets a bucket be closed while it is empty, and opens it again behind the back of the directory, so that
// somebody writes a version into it that is then forgotten.
func gatewayReopens(t *testing.T, r *ring) {
	v := &vault{ring: r, bucket: "a18-reopens"}
	r.is(t, &request{method: "PUT", path: "/" + v.bucket, as: r.root, head: map[string]string{"x-amz-bucket-object-lock-enabled": "true"}}, 200, "")
	v.find(t)
	epoch := v.beginDelete(t)
	must(t, v.fence(t, &meta.FenceBucket{Epoch: epoch, Final: true}))
	for _, e := range []uint64{epoch, epoch + 1, 1 << 62} {
		_, err := v.gateway.propose(t, v.group, &meta.Command{Op: &meta.Command_UnfenceBucket{UnfenceBucket: &meta.UnfenceBucket{Bucket: v.id, Epoch: e}}})
		refused(t, "opened again", err)
	}
	if a := r.send(t, &request{method: "PUT", path: "/" + v.bucket + "/late", as: r.root, body: []byte("x"), head: map[string]string{"content-md5": md5Of("x")}}); a.status/100 == 2 {
		t.Errorf("a version was written into a bucket that is about to be forgotten: %v", a)
	}
	must(t, v.forget(t, epoch))
}

// gatewayRecodes says that a version was coded anew, into chunks of the attacker's.
func gatewayRecodes(t *testing.T, r *ring) {
	v := r.vault(t, "a18-recodes")
	for _, l := range v.locked {
		sum := sha256.Sum256(l.manifest)
		for _, c := range []*meta.Recode{
			{Version: l.id, Streams: []uint64{77}, Begin: true},
			{Version: l.id, Streams: []uint64{77}, OldDigest: sum[:], Manifest: []byte("x")},
		} {
			_, err := v.gateway.propose(t, v.group, &meta.Command{Op: &meta.Command_Recode{Recode: c}})
			if api.KindOf(err) != api.AccessDenied {
				t.Errorf("%v: %v", c, err)
			}
		}
	}
	v.intact(t)
}

// gatewayCondemns has the owners of a version's shards declared dead, and what waits to be dropped forgotten.
func gatewayCondemns(t *testing.T, r *ring) {
	v := r.vault(t, "a18-condemns")
	var owners []*meta.StreamOwner
	for _, l := range v.locked {
		for stream := range uint64(3) {
			owners = append(owners, &meta.StreamOwner{Version: l.id, Stream: stream})
		}
	}
	condemn := &meta.Command{Op: &meta.Command_Condemn{Condemn: &meta.Condemn{Owners: owners}}}
	if _, err := v.gateway.propose(t, v.group, condemn); err != nil { // it gives back the shards of its own failed uploads so
		t.Errorf("condemn: %v", err)
	}
	done := &meta.Command{Op: &meta.Command_GarbageDone{GarbageDone: &meta.GarbageDone{Seqs: []uint64{1, 2, 3}}}}
	if _, err := v.gateway.propose(t, v.group, done); api.KindOf(err) != api.AccessDenied {
		t.Errorf("garbage that is done: %v", err)
	}
	v.intact(t)
}

// gatewayCommands sends each command of nodes alone, which includes those that would make the gateway a node, replace the
// keys, the placement and the members, or forget where shards are.
func gatewayCommands(t *testing.T, r *ring) {
	v := r.vault(t, "a24-commands")
	for _, name := range []protoreflect.Name{
		"init_cluster", "put_member", "remove_member", "set_member", "put_invite", "use_invite", "put_placement", "drop_placements",
		"put_kek", "set_current_kek", "put_group", "found_group", "set_setting", "next_sequence", "set_cursor", "transition", "recode_part",
	} {
		cmd := new(meta.Command)
		m := cmd.ProtoReflect()
		f := m.Descriptor().Fields().ByName(name)
		if f == nil {
			t.Fatalf("there is no command %s", name)
		}
		m.Mutable(f)
		for _, g := range []consensus.GroupID{consensus.SystemGroup, v.group} {
			if _, err := v.gateway.propose(t, g, cmd); api.KindOf(err) != api.AccessDenied {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	node := &meta.Member{PeerId: string(v.gateway.id.NodeID()), Roles: []string{"node", "gateway"}, Site: "default", Serial: 1 << 40}
	if _, err := v.gateway.propose(t, consensus.SystemGroup, &meta.Command{Op: &meta.Command_PutMember{PutMember: &meta.PutMember{Member: node}}}); api.KindOf(err) != api.AccessDenied {
		t.Errorf("a gateway made itself a node: %v", err)
	}
	v.intact(t)
}

// gatewayMethods calls every number of a method that there may be: of what is for nodes alone, nothing runs.
func gatewayMethods(t *testing.T, r *ring) {
	v := r.vault(t, "a24-methods")
	for id, n := range v.gateway.nodes {
		for what, err := range map[string]error{
			"remove a replica": n.ActOnReplica(t.Context(), &peer.ReplicaAct{Group: v.group, Remove: 1}),
			"create a replica": n.ActOnReplica(t.Context(), &peer.ReplicaAct{Group: v.group, Create: 99}),
			"change members":   n.ActOnReplica(t.Context(), &peer.ReplicaAct{Group: v.group, Change: &consensus.Change{Remove: []consensus.ReplicaID{1}}}),
			"the cluster's keys": func() error {
				_, err := n.Bootstrap(t.Context())
				return err
			}(),
			"statuses": func() error {
				_, err := n.GroupStatuses(t.Context())
				return err
			}(),
			"clock": func() error {
				_, err := n.Clock(t.Context())
				return err
			}(),
		} {
			refused(t, what, err)
		}
		for m := range p2p.Method(256) {
			if slices.Contains(methodsOfGateways, m) {
				continue
			}
			for _, method := range []p2p.Method{m, m | p2p.MethodBulk} {
				if slices.Contains(methodsOfGateways, method) {
					continue
				}
				_, err := v.gateway.Host.Call(t.Context(), id, method, &p2p.Message{Header: []byte("x"), Payload: []byte("x")})
				refused(t, "call of method "+method.String(), err)
				must(t, v.gateway.Host.Notify(id, method, []byte("x")))
			}
		}
	}
	eventually(t, func() error { return v.gateway.reachesAll(t.Context()) })
	v.intact(t)
}

// gatewayMembers asks nodes for what operators ask for at their management ports.
func gatewayMembers(t *testing.T, r *ring) {
	members := len(r.gateway.query(t, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}}).GetMembers().GetMembers())
	drive := r.gateway.layout(t).Table.Drives()[0]
	for id, n := range r.gateway.nodes {
		for what, arg := range map[string]any{
			"invite":       api.Invite{Role: "node", Site: "default", TTL: time.Hour},
			"allow":        api.Allow{PeerID: string(r.gateway.id.NodeID()), Role: "node", Site: "default", TTL: time.Hour},
			"set-member":   api.MemberChange{PeerID: string(id)},
			"revoke":       string(id),
			"remove-drive": hex.EncodeToString(drive.ID[:]),
		} {
			b, err := json.Marshal(arg)
			must(t, err)
			if _, err := n.Admin(t.Context(), what, b); api.KindOf(err) != api.AccessDenied {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if now := len(r.gateway.query(t, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}}).GetMembers().GetMembers()); now != members {
		t.Errorf("there were %d members, and are %d", members, now)
	}
}

// methodsOfGateways are those of package peer that a gateway may call, and the probe of the failure detector.
var methodsOfGateways = []p2p.Method{16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 37, 39, 40, 64, 32 | p2p.MethodBulk, 33 | p2p.MethodBulk}
