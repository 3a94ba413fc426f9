package meta

import (
	"fmt"
	"testing"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
)

// uses are when access keys were used, 0 for never.
func (r *rig) uses() map[string]int64 {
	r.t.Helper()
	out := make(map[string]int64)
	for _, k := range r.query(consensus.SystemGroup, &Query_Credentials{&CredentialsQuery{Max: 10}}).GetCredentials().Credentials {
		out[k.AccessKeyId] = k.Used
	}
	return out
}

// TestKeyUses: the last use counts, none is in the group's future, and none outlives its key. No epoch changes.
func TestKeyUses(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.sys(&Command_PutIdentity{&PutIdentity{Identity: userNamed("alice", nil)}}))
	key := func(id, who string) *Result {
		return r.sys(&Command_PutCredential{&PutCredential{Credential: &Credential{AccessKeyId: id, Sealed: []byte("s"), Principal: who, Used: 77}}})
	}
	a := r.must(key("A", "root")).GetCredential()
	r.must(key("B", "user:alice"))
	used := func(id string, at int64) *Result {
		return r.sys(&Command_NoteKeyUses{&NoteKeyUses{Uses: []*KeyUse{{AccessKeyId: id, Time: at}}}})
	}
	start := r.now
	r.must(used("A", start-5))
	r.must(used("A", start-9)) // late
	r.must(used("B", start+int64(time.Hour)))
	r.must(used("C", start)) // none
	if got, want := fmt.Sprint(r.uses()), fmt.Sprint(map[string]int64{"A": start - 5, "B": start + 3e9}); got != want {
		t.Errorf("uses %s, want %s", got, want)
	}
	if got := r.query(consensus.SystemGroup, &Query_Credential{&CredentialQuery{AccessKeyId: "A"}}).GetCredential(); got.Epoch != a.Epoch || got.Used != 0 {
		t.Errorf("the key itself is %v", got)
	}
	r.must(r.sys(&Command_DeleteCredential{&DeleteCredential{AccessKeyId: "A"}}))
	r.must(r.sys(&Command_DeleteIdentity{&DeleteIdentity{Kind: IdentityKind_IDENTITY_USER, Name: "alice"}}))
	r.must(r.sys(&Command_PutIdentity{&PutIdentity{Identity: userNamed("alice", nil)}}))
	r.must(key("A", "root"))
	r.must(key("B", "user:alice"))
	if got := r.uses(); got["A"] != 0 || got["B"] != 0 {
		t.Errorf("new keys of old names: %v", got)
	}
	r.refused(r.sys(&Command_NoteKeyUses{&NoteKeyUses{}}), api.InvalidArgument)
	r.refused(r.sys(&Command_NoteKeyUses{&NoteKeyUses{Uses: make([]*KeyUse, api.KeyUseMax+1)}}), api.InvalidArgument)
}
