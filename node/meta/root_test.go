package meta

import (
	"testing"

	"shoal/node/consensus"
)

// TestSwitchRoot: all of root's access keys, and no others, are disabled, also those made later; enabled again each is as it was.
func TestSwitchRoot(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.sys(&Command_PutIdentity{&PutIdentity{Identity: userNamed("alice", nil)}}))
	key := func(id, who string, disabled bool) {
		r.must(r.sys(&Command_PutCredential{&PutCredential{Credential: &Credential{AccessKeyId: id, Sealed: []byte("s"), Principal: who, Disabled: disabled}}}))
	}
	key("A", "root", false)
	key("B", "root", true)
	key("C", "user:alice", false)
	is := func(want map[string]bool) {
		t.Helper()
		list := r.query(consensus.SystemGroup, &Query_Credentials{&CredentialsQuery{Max: 10}}).GetCredentials().Credentials
		if len(list) != len(want) {
			t.Fatalf("%d access keys", len(list))
		}
		for _, k := range list {
			one := r.query(consensus.SystemGroup, &Query_Credential{&CredentialQuery{AccessKeyId: k.AccessKeyId}}).GetCredential()
			if k.Disabled != want[k.AccessKeyId] || one.Disabled != k.Disabled {
				t.Errorf("%s: disabled %v in the list and %v alone, want %v", k.AccessKeyId, k.Disabled, one.Disabled, want[k.AccessKeyId])
			}
		}
	}
	is(map[string]bool{"A": false, "B": true, "C": false})
	r.must(r.sys(&Command_SwitchRoot{&SwitchRoot{Disabled: true}}))
	key("D", "root", false)
	is(map[string]bool{"A": true, "B": true, "C": false, "D": true})
	r.reopen(r.disk)
	is(map[string]bool{"A": true, "B": true, "C": false, "D": true})
	r.must(r.sys(&Command_SwitchRoot{&SwitchRoot{}}))
	is(map[string]bool{"A": false, "B": true, "C": false, "D": false})
}
