package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/node/api"
)

const (
	peerA = "12D3KooWAAAAAAAAAAAAAAAAxyzaaaaa1"
	peerB = "12D3KooWBBBBBBBBBBBBBBBBxyzbbbbb2"
)

// adminServer answers as a node's management port would, and remembers what it was asked.
func adminServer(t *testing.T) (address string, asked *[]string) {
	t.Helper()
	asked = new([]string)
	durability := api.Durability{Epoch: 3, Complete: true, Nodes: 2, Stripes: 40, Bytes: 160 << 20,
		Tolerance:      []api.Tolerance{{Tolerates: 0, Stripes: 3, Bytes: 12 << 20}, {Tolerates: 1, Stripes: 37, Bytes: 148 << 20}},
		ToleranceNodes: []api.Tolerance{{Tolerates: 1, Stripes: 40, Bytes: 160 << 20}}, ToleranceSites: []api.Tolerance{{Tolerates: 0, Stripes: 40, Bytes: 160 << 20}}, Unhealed: 6,
		Profiles:     []api.ProfileStripes{{Profile: "2+2", Stripes: 31, Bytes: 124 << 20}, {Profile: "3+1", Stripes: 9, Bytes: 36 << 20}},
		BelowPromise: api.Affected{Stripes: 3, Bytes: 12 << 20, Versions: 2, AtLeast: true},
		IfLost:       []api.LossOf{{Kind: "node", Name: peerA, Stripes: 3, Bytes: 12 << 20}}}
	without := durability
	without.WhatIf = &api.WhatIf{Site: "there", Unreadable: api.Affected{Stripes: 9, Bytes: 9 << 20, Versions: 8}}
	answers := map[string]any{
		"GET /admin/v1/space": api.Space{Objects: 3, ObjectBytes: 5 << 20, MetaBytes: 1000,
			Silent: []string{peerB}, Drives: []api.DriveSpace{{Node: peerA, Path: "/d0", State: "healthy", Shards: 2, ShardBytes: 5 << 20, SegmentBytes: 6 << 20, FreeBytes: 1 << 40, TotalBytes: 2 << 40, DriveID: "ab"}}},
		"GET /admin/v1/workers": []api.Worker{{Name: "scrub", State: "idle", Done: 7, LastRun: time.Unix(0, 0)}, {Node: peerA, Name: "heal", State: "busy", Done: 3, Total: 6, LastError: "no", BytesPerSecond: 5 << 20, ETASeconds: 90}},
		"GET /admin/v1/groups": []api.Group{
			{ID: 1, Leader: peerA, Term: 2, Applied: 3, Voters: []string{peerA, peerB}, Lag: 7, Slowest: peerB, Quiet: true},
			{ID: 2, Voters: []string{peerB}, Pending: "adds a learner"},
		},
		"GET /admin/v1/members": []api.Member{
			{PeerID: peerA, Roles: []string{"node"}, Site: "here", Addrs: []string{"/ip4/127.0.0.1/tcp/1", "/ip4/198.51.100.7/tcp/1"}, Epoch: 4, State: "active", Liveness: "alive", Drives: 2, UsedBytes: 1 << 30, CapacityBytes: 4 << 40, Weight: 50, Release: "v9", LastSeen: time.Unix(0, 0)},
			{PeerID: peerB, Roles: []string{"gateway"}, Site: "there", State: "active", Liveness: "dead"},
		},
		"GET /admin/v1/placement": api.Placement{Epoch: 12, Profile: "2+1", Reduced: "2+1", Widths: []int{3, 2}, Earlier: []uint64{11}, Moving: api.Moving{Shards: 8, Bytes: 1 << 20},
			Drives: []api.PlacementDrive{{DriveID: "ab", Node: peerA, Site: "here", Weight: 100, Share: 0.3333}}},
		"GET /admin/v1/settings":              append(api.KnownSettings(), api.Setting{Name: "later", Value: "7"}, api.Setting{Name: "ip/192.0.2.0/24", Value: "block"}, api.Setting{Name: "peer-ip/10.0.0.0/8", Value: "block"}),
		"GET /admin/v1/health":                api.ClusterHealth{Reasons: []string{"The node q is dead."}, More: 2},
		"POST /admin/v1/scrub":                api.ScrubReport{Shards: 10, Corrupt: 1, Healed: 1},
		"POST /admin/v1/members/allow":        api.Allowed{Join: []string{"/ip4/10.0.0.1/tcp/4003/p2p/" + peerA}},
		"POST /admin/v1/members/revoke":       api.Revoked{PeerID: peerA, Members: 3, Acknowledged: 2, Waiting: []string{peerB}},
		"POST /admin/v1/members/set":          struct{}{},
		"POST /admin/v1/settings":             struct{}{},
		"GET /admin/v1/buckets/b/quota":       api.Usage{Bucket: "b", Owner: "root", Objects: 3, Bytes: 5 << 20},
		"PUT /admin/v1/buckets/b/quota":       api.Usage{Bucket: "b", Owner: "root", Objects: 3, Bytes: 5 << 20, Quota: api.Quota{Bytes: 10 << 30, Objects: 700}},
		"GET /admin/v1/buckets/b/permissions": permissions{"root": {"full_control"}, "user:alice": {"read", "write"}, "AllUsers": {"read"}},
		"PUT /admin/v1/buckets/b/permissions": permissions{"root": {"full_control"}},
		"DELETE /admin/v1/buckets/b/quota":    api.Usage{Bucket: "b", Owner: "root"},
		"POST /admin/v1/drives/remove":        struct{}{},
		"GET /admin/v1/identities":            api.IdentityList{Users: []api.User{{Name: "alice", Policies: []string{"docs"}}}, Groups: []api.UserGroup{{Name: "staff", Policies: []string{"docs"}}}},
		"GET /admin/v1/readonly": api.ReadOnlyStatus{ReadOnlyOrder: api.ReadOnlyOrder{On: true, Reason: "we move", Since: time.Unix(0, 0)}, Groups: 17, InForce: 15, Behind: []uint32{4, 17},
			Buckets: []api.BucketReadOnly{{Bucket: "b", ReadOnlyOrder: api.ReadOnlyOrder{On: true, Reason: "audit"}}}},
		"POST /admin/v1/root": struct{}{},
		"POST /admin/v1/root/replace": api.ReplacedRoot{IssuedKey: api.IssuedKey{AccessKey: api.AccessKey{AccessKeyID: "NEW"}, Secret: "new secret"},
			Files: []api.RootFile{{Node: peerA, Path: "/data/root.credentials"}}, Failed: []api.RootFile{{Node: peerB}}},
		"POST /admin/v1/gc": api.Collection{Done: 8, Total: 8},
		"GET /admin/v1/gc/status": api.Collection{Done: 5, Total: 8, Running: true, FreedBytes: 3 << 20, PendingDrops: 6, Silent: []string{peerB}, Nodes: []api.NodeCollection{{Node: peerA, Step: "sweep", Steps: 1, Began: time.Unix(0, 0)}},
			Verified: &api.Dropped{Bucket: "b", Prefix: "p", Clean: true, Living: 1000, Leftovers: api.Leftovers{Looked: 77}}},
		"POST /admin/v1/readonly":           api.ReadOnlyStatus{ReadOnlyOrder: api.ReadOnlyOrder{On: true, Reason: "we move"}, Groups: 17, InForce: 17},
		"POST /admin/v1/buckets/b/readonly": api.BucketReadOnly{Bucket: "b"},
		"GET /admin/v1/buckets/b/readonly":  api.BucketReadOnly{Bucket: "b", ReadOnlyOrder: api.ReadOnlyOrder{On: true, Reason: "audit"}},
		"GET /admin/v1/durability":          durability,
		"POST /admin/v1/durability":         without,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(r.Header.Get("Authorization"), "Credential=A/") {
			t.Errorf("request not signed or not whole: %v", err)
		}
		what := r.Method + " " + r.URL.Path
		*asked = append(*asked, what+" "+string(body))
		answer, ok := answers[what]
		if what == "POST /admin/v1/invites" {
			answer, ok = map[string]string{"token": "shoal-token"}, true
		}
		if !ok {
			w.WriteHeader(http.StatusForbidden)
			answer = map[string]string{"code": "AccessDenied", "message": "no"}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), asked
}

// credentialsDir is a data directory with a root credential.
func credentialsDir(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	credentials := "[default]\naws_access_key_id = A\naws_secret_access_key = S\n"
	if err := os.WriteFile(filepath.Join(data, rootCredentials), []byte(credentials), 0o600); err != nil {
		t.Fatal(err)
	}
	return data
}

const (
	getMembers  = "GET /admin/v1/members "
	getSettings = "GET /admin/v1/settings "
)

func TestAdminCommands(t *testing.T) {
	address, asked := adminServer(t)
	data := credentialsDir(t)
	for _, c := range []struct {
		args  string
		asks  []string
		shows []string
	}{
		{"space", []string{"GET /admin/v1/space "}, []string{"objects", "5.0 MiB", "/d0", "healthy", "1.0 TiB", "aaaaa1", "without answer", "bbbbb2"}},
		{"workers", []string{"GET /admin/v1/workers "}, []string{"scrub", "1970-01-01T00:00:00Z", "never", "no", "[##########..........]  50% 3/6", "5.0 MiB/s", "1m30s"}},
		{"groups", []string{"GET /admin/v1/groups "}, []string{"LEADER", "yzaaaaa1,yzbbbbb2", "7 (yzbbbbb2)", "none", "adds a learner"}},
		{"members", []string{getMembers}, []string{"/ip4/127.0.0.1/tcp/1", "yzaaaaa1", "active", "dead", "1.0 GiB", "4.0 TiB", "50%", "v9"}},
		{"members --json", []string{getMembers}, []string{peerA, `"weight": 50`}},
		{"placement", []string{"GET /admin/v1/placement "}, []string{"12", "2+1", "reduced redundancy", "3 2", "11", "8 (1.0 MiB)", "33.33%"}},
		{"placement --json", []string{"GET /admin/v1/placement "}, []string{`"share": 0.3333`}},
		{"health", []string{"GET /admin/v1/health "}, []string{"not whole", "The node q is dead.", "and 2 more"}},
		{"settings", []string{getSettings}, []string{"survives", "replace-after", "(10m)", "later"}},
		{"settings set voters 3", []string{getSettings, `POST /admin/v1/settings {"name":"voters","value":"3"}`}, []string{"voters is now 3"}},
		{"ip block 192.0.2.7", []string{getMembers, `POST /admin/v1/settings {"name":"ip/192.0.2.7/32","value":"block"}`}, []string{"192.0.2.7/32: block"}},
		{"ip allow 2001:DB8::/48", []string{`POST /admin/v1/settings {"name":"ip/2001:db8::/48","value":"allow"}`}, []string{"2001:db8::/48: allow"}},
		{"ip remove 192.0.2.0/24", []string{`POST /admin/v1/settings {"name":"ip/192.0.2.0/24","value":""}`}, []string{"192.0.2.0/24: as larger blocks say"}},
		{"ip block 192.0.2.7 --peers", []string{`POST /admin/v1/settings {"name":"peer-ip/192.0.2.7/32","value":"block"}`}, []string{"192.0.2.7/32: block (peers)"}},
		{"ip block 192.0.2.7 --all --yes", []string{`POST /admin/v1/settings {"name":"peer-ip/192.0.2.7/32","value":"block","force":true}`, `POST /admin/v1/settings {"name":"ip/192.0.2.7/32","value":"block"}`}, []string{"192.0.2.7/32: block (peers)", "192.0.2.7/32: block (clients)"}},
		{"ip list", []string{getSettings}, []string{"clients", "192.0.2.0/24", "block", "peers", "10.0.0.0/8"}},
		{"ip list --all", []string{getSettings}, []string{"clients", "192.0.2.0/24", "block", "peers", "10.0.0.0/8"}},
		{"ip list --json", []string{getSettings}, []string{`"prefix": "192.0.2.0/24"`}},
		{"durability", []string{"GET /admin/v1/durability "}, []string{"40 (160.0 MiB)", "3 (12.0 MiB), of at least 2 versions", "1 more drives", "148.0 MiB", "1 more nodes", "0 more sites", "lie in the metadata", "6 stripes since", "CODED AS", "3+1", "36.0 MiB", "node yzaaaaa1"}},
		{"durability --what-if site=there", []string{getMembers, `POST /admin/v1/durability {"lost_site":"there"}`}, []string{"If site there were lost, unreadable: 9 (9.0 MiB), of 8 versions; below promise: none."}},
		{"durability --what-if node=zaaaaa1", []string{getMembers, "GET /admin/v1/durability "}, []string{"If node " + peerA + " were lost, 3 (12.0 MiB) more stripes would be unreadable."}},
		{"durability --what-if node=zbbbbb2", []string{getMembers, "GET /admin/v1/durability "}, []string{"everything that is readable now would stay so"}},
		{"durability --what-if site=there --json", []string{getMembers, `POST /admin/v1/durability {"lost_site":"there"}`}, []string{`"what_if": {`}},
		{"scrub", []string{"POST /admin/v1/scrub "}, []string{"shards checked", "10"}},
		{"invite --role gateway --ttl 2h", []string{`POST /admin/v1/invites {"role":"gateway","site":"default","ttl":"2h0m0s"}`}, []string{"shoal-token\n"}},
		{"space --json", []string{"GET /admin/v1/space "}, []string{`"object_bytes": 5242880`}},
		{"members allow " + peerB + " --site b", []string{`POST /admin/v1/members/allow {"peer_id":"` + peerB + `","role":"node","site":"b","ttl":"1h0m0s"}`}, []string{"may join within 1h0m0s", "--join /ip4/10.0.0.1/tcp/4003/p2p/" + peerA}},
		{"members drain zaaaaa1", []string{getMembers, `POST /admin/v1/members/set {"peer_id":"` + peerA + `","state":"draining"}`}, []string{peerA + " is now draining"}},
		{"members undrain 12D3KooWB", []string{getMembers, `POST /admin/v1/members/set {"peer_id":"` + peerB + `","state":"active"}`}, []string{peerB + " is now active"}},
		{"members set " + peerA + " --site c --weight 75", []string{getMembers, `POST /admin/v1/members/set {"peer_id":"` + peerA + `","site":"c","weight":75}`}, []string{"in site c, of weight 75%"}},
		{"bucket quota b", []string{"GET /admin/v1/buckets/b/quota "}, []string{"5.0 MiB", "none", "root"}},
		{"bucket quota b --bytes 10GiB --objects 700", []string{`PUT /admin/v1/buckets/b/quota {"bytes":10737418240,"objects":700}`}, []string{"10.0 GiB", "700"}},
		{"bucket permissions b", []string{"GET /admin/v1/buckets/b/permissions "}, []string{"root", "full_control", "alice", "read,write", "AllUsers"}},
		{"bucket permissions b --set alice=read,read_acp", []string{`PUT /admin/v1/buckets/b/permissions {"user:alice":["read","read_acp"]}`}, []string{"root"}},
		{"bucket permissions b --set alice=read,read_acp --set AllUsers=read --yes", []string{`PUT /admin/v1/buckets/b/permissions {"AllUsers":["read"],"user:alice":["read","read_acp"]}`}, []string{"root"}},
		{"bucket permissions b --none --json", []string{"PUT /admin/v1/buckets/b/permissions {}"}, []string{`"root"`}},
		{"bucket quota b --none --json", []string{"DELETE /admin/v1/buckets/b/quota "}, []string{`"bucket": "b"`}},
		{"readonly status", []string{"GET /admin/v1/readonly "}, []string{"the whole store", "refused", "1970-01-01T00:00:00Z", "we move", "audit", "15 of 17 groups", "4,17"}},
		{"readonly status --bucket b --json", []string{"GET /admin/v1/buckets/b/readonly "}, []string{`"reason": "audit"`}},
		{"readonly on --reason move --yes", []string{`POST /admin/v1/readonly {"on":true,"reason":"move"}`}, []string{"the whole store", "refused"}},
		{"readonly off --bucket b", []string{`POST /admin/v1/buckets/b/readonly {"on":false}`}, []string{"b", "taken"}},
		{"readonly on --bucket b --reason audit --yes", []string{`POST /admin/v1/buckets/b/readonly {"on":true,"reason":"audit"}`}, []string{"WRITES"}},
		{"root replace --overlap 1h --yes", []string{`POST /admin/v1/root/replace {"overlap":3600000000000}`}, []string{"aws_access_key_id = NEW", "aws_secret_access_key = new secret", "# written to /data/root.credentials on node", "not known to be written on node"}},
		{"root disable --yes", []string{`POST /admin/v1/root {"disabled":true}`}, []string{"root is disabled"}},
		{"root enable", []string{`POST /admin/v1/root {"disabled":false}`}, []string{"root is enabled"}},
		{"gc status --verify b/p", []string{"GET /admin/v1/gc/status "}, []string{"sweep", "1/4", "3.0 MiB", "bbbbb2", "yes: no shard", "1000 or more", "77"}},
		{"gc start --json", []string{"POST /admin/v1/gc ", "GET /admin/v1/gc/status "}, []string{`"freed_bytes": 3145728`}},
		{"drive remove /mnt/b --yes", []string{`POST /admin/v1/drives/remove {"drive":"/mnt/b"}`}, []string{"the drive /mnt/b is forgotten"}},
		{"members revoke zaaaaa1 --yes", []string{getMembers, `POST /admin/v1/members/revoke {"peer_id":"` + peerA + `"}`}, []string{"2 of 3 members acknowledged", "yzbbbbb2"}},
		{"members revoke zaaaaa1 --yes --json", []string{getMembers, `POST /admin/v1/members/revoke {"peer_id":"` + peerA + `"}`}, []string{`"acknowledged": 2`}},
	} {
		t.Run(c.args, func(t *testing.T) {
			*asked = nil
			var out, errs bytes.Buffer
			args := append([]string{"admin"}, strings.Fields(c.args)...)
			code := execute(t.Context(), environment{out: &out, err: &errs}, append(args, "--data", data, "--admin", address))
			if code != exitOK || !slices.Equal(*asked, c.asks) {
				t.Fatalf("exit %d, asked %q: %s", code, *asked, errs.String())
			}
			for _, want := range c.shows {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not show %q:\n%s", want, out.String())
				}
			}
		})
	}
}

// Rules for peers can be listed alone.
func TestListPeerRules(t *testing.T) {
	address, _ := adminServer(t)
	var out, errs bytes.Buffer
	code := execute(t.Context(), environment{out: &out, err: &errs}, []string{"admin", "ip", "list", "--peers", "--data", credentialsDir(t), "--admin", address})
	if code != exitOK || !strings.Contains(out.String(), "10.0.0.0/8") || strings.Contains(out.String(), "clients") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
}

// What is refused before anything is changed.
func TestAdminRefuses(t *testing.T) {
	address, asked := adminServer(t)
	data := credentialsDir(t)
	for _, c := range []struct {
		args, says string
		code       int
	}{
		{"members drain aaa1", "is too short for a peer ID", exitUsage},
		{"members drain 12D3KooW", "2 members' peer IDs begin or end with", exitFailure},
		{"members drain nobody", "no member's peer ID begins or ends with", exitFailure},
		{"members drain", "accepts 1 arg", exitUsage},
		{"members set zaaaaa1", "give --site or --weight", exitUsage},
		{"members set zaaaaa1 --weight 0", "--weight is 1 to 1000 percent", exitUsage},
		{"members allow q --role king", "--role is node or gateway", exitUsage},
		{"members allow q --ttl 1s", "--ttl is 1m to 168h", exitUsage},
		{"settings set survive 1", `there is no setting "survive"; did you mean survives?`, exitUsage},
		{"ip block 192.0.2.7/24", "did you mean 192.0.2.0/24", exitUsage},
		{"root disable", "nothing was changed", exitFailure},
		{"readonly on --yes", "give --reason", exitUsage},
		{"readonly on --reason r", "nothing was changed", exitFailure},
		{"durability --what-if drive=x", "--what-if is site=NAME or node=PEERID", exitUsage},
		{"durability --what-if site=", "--what-if is site=NAME or node=PEERID", exitUsage},
		{"durability --what-if site=moon", `no member stands in site "moon"`, exitFailure},
		{"workers --watch --every 1ms", "--every is at least 100ms", exitUsage},
	} {
		t.Run(c.args, func(t *testing.T) {
			*asked = nil
			var out, errs bytes.Buffer
			args := append([]string{"admin"}, strings.Fields(c.args)...)
			code := execute(t.Context(), environment{out: &out, err: &errs}, append(args, "--data", data, "--admin", address))
			if code != c.code || !strings.Contains(errs.String(), c.says) || strings.Count(errs.String(), "\n") != 1 {
				t.Errorf("exit %d: %s", code, errs.String())
			}
			for _, a := range *asked {
				if strings.HasPrefix(a, "POST") {
					t.Errorf("it asked for %q", a)
				}
			}
		})
	}
}

// TestDangerousActsAsk: what locks somebody out, or lets everybody in, is asked about first; what is answered with no changes nothing.
func TestDangerousActsAsk(t *testing.T) {
	address, asked := adminServer(t)
	data := credentialsDir(t)
	policy := filepath.Join(data, "policy")
	if err := os.WriteFile(policy, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, says string }{
		{"ip block 0.0.0.0/0", "every address"},
		{"ip block ::/0", "every address"},
		{"ip block 127.0.0.0/8", "an address of this machine"},
		{"ip block 198.51.100.0/24", "holds the member yzaaaaa1 at 198.51.100.7"},
		{"user disable alice", "Disable user alice?"},
		{"user delete alice", "Delete user alice?"},
		{"key disable KEY", "Disable access key KEY?"},
		{"key revoke KEY", "Revoke access key KEY?"},
		{"policy set docs " + policy, "Change the policy docs for user alice, group staff"},
		{"root replace", "It ends at once"},
		{"root replace --overlap 1h", "It ends in 1h0m0s"},
		{"readonly on --reason r", "the whole store"},
		{"readonly on --reason r --bucket b", "the bucket b"},
		{"bucket permissions b --set AllUsers=read", "everybody, without a signature"},
		{"bucket permissions b --set alice=read --set AuthenticatedUsers=write", "Give write of the bucket b to every user"},
	} {
		t.Run(c.args, func(t *testing.T) {
			for _, answer := range []string{"n\n", "y\n", "--yes"} {
				*asked = nil
				var out, errs bytes.Buffer
				args := append([]string{"admin"}, strings.Fields(c.args)...)
				if answer == "--yes" {
					args = append(args, answer)
				}
				execute(t.Context(), environment{in: strings.NewReader(answer), out: &out, err: &errs}, append(args, "--data", data, "--admin", address))
				changes := slices.ContainsFunc(*asked, func(a string) bool { return !strings.HasPrefix(a, "GET") })
				if strings.Contains(errs.String(), c.says) != (answer != "--yes") || changes != (answer != "n\n") {
					t.Errorf("%q: %q, asked %q", answer, errs.String(), *asked)
				}
			}
		})
	}
	var out, errs bytes.Buffer
	code := execute(t.Context(), environment{in: strings.NewReader("{}"), out: &out, err: &errs}, []string{"admin", "policy", "set", "docs", "-", "--data", data, "--admin", address})
	if code != exitUsage || !strings.Contains(errs.String(), "give --yes") {
		t.Errorf("a policy from where the answer would come: %d, %s", code, errs.String())
	}
}

func TestRevokeAsks(t *testing.T) {
	address, asked := adminServer(t)
	data := credentialsDir(t)
	for _, c := range []struct {
		answer string
		code   int
	}{{"y\n", exitOK}, {"YES\n", exitOK}, {"n\n", exitFailure}, {"\n", exitFailure}, {"", exitFailure}, {"yesterday\n", exitFailure}} {
		*asked = nil
		var out, errs bytes.Buffer
		env := environment{in: strings.NewReader(c.answer), out: &out, err: &errs}
		code := execute(t.Context(), env, []string{"admin", "members", "revoke", peerA, "--data", data, "--admin", address})
		if code != c.code || !strings.Contains(errs.String(), "Revoke "+peerA) || !strings.Contains(errs.String(), "hold 1.0 GiB and are not being drained") {
			t.Errorf("%q: exit %d, %s", c.answer, code, errs.String())
		}
		if revoked := len(*asked) == 2; revoked != (code == exitOK) {
			t.Errorf("%q: asked %q", c.answer, *asked)
		}
	}
}

// A watch ends once every worker rests.
func TestWatchWorkers(t *testing.T) {
	data := credentialsDir(t)
	states := []string{"busy", "throttled", "idle", "busy"}
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode([]api.Worker{{Name: "heal", State: states[asked]}, {Name: "scrub", State: "done"}}); err != nil {
			t.Error(err)
		}
		asked++
	}))
	defer s.Close()
	var out, errs bytes.Buffer
	code := execute(t.Context(), environment{out: &out, err: &errs}, []string{"admin", "workers", "--watch", "--every", "100ms", "--data", data, "--admin", s.URL})
	if code != exitOK || asked != 3 || strings.Count(out.String(), "WORKER") != 3 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("exit %d, asked %d times: %s%s", code, asked, out.String(), errs.String())
	}
}

func TestAdminErrors(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"code":"AccessDenied","message":"Access Denied"}`)
	}))
	defer refusing.Close()
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }))
	defer strange.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id=A\naws_secret_access_key=S\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, says string }{
		{refusing.URL, "answered AccessDenied: Access Denied"},
		{strange.URL, "cannot be read"},
		{gone.URL, "nothing listens at"},
	} {
		var out, errs bytes.Buffer
		env := environment{out: &out, err: &errs, vars: []string{"AWS_SHARED_CREDENTIALS_FILE=" + file}}
		if code := execute(t.Context(), env, []string{"admin", "space", "--admin", c.url}); code != exitFailure || !strings.Contains(errs.String(), c.says) {
			t.Errorf("exit %d, %q; want %q", code, errs.String(), c.says)
		}
	}
}

func TestCollecting(t *testing.T) {
	got := collecting(&api.Collection{Done: 2, Total: 8, FreedBytes: 3 << 20, Nodes: []api.NodeCollection{{Node: peerA, Step: "reclaim"}, {Node: peerB}}})
	if !strings.Contains(got, "25% 2/8  freed 3.0 MiB  ") || !strings.HasSuffix(got, "yzaaaaa1: reclaim") {
		t.Errorf("%q", got)
	}
}

// What is not proven is a failure, of which the answer tells what it is.
func TestVerifyFails(t *testing.T) {
	data := credentialsDir(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(api.Collection{Verified: &api.Dropped{Bucket: "b", Missing: []string{"d7"}}}); err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	var out, errs bytes.Buffer
	code := execute(t.Context(), environment{out: &out, err: &errs}, []string{"admin", "gc", "status", "--verify", "b", "--data", data, "--admin", s.URL})
	if code != exitFailure || !strings.Contains(out.String(), "d7") || !strings.Contains(errs.String(), "not proven") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
}

func TestScrubbing(t *testing.T) {
	got := scrubbing([]api.Worker{
		{Name: "scrub", State: "busy", Done: 10, Total: 100, BytesPerSecond: 1 << 20, ETASeconds: 30},
		{Name: "scrub", State: "busy", Done: 40, Total: 100, BytesPerSecond: 1 << 20, ETASeconds: 20},
		{Name: "scrub", State: "idle", Done: 100, Total: 100},
		{Name: "check", State: "busy", Done: 1, Total: 100},
	})
	if !strings.Contains(got, "25% 50/200") || !strings.Contains(got, "30s") || !strings.Contains(got, "nodes at work: 2") {
		t.Errorf("%q", got)
	}
}
