package s3op_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"shoal/gateway/audit"
	"shoal/gateway/s3err"
	"shoal/node/api"
	"shoal/node/apitest"
)

// TestActs: what was set is told as it was and as it became, before the answer.
func TestActs(t *testing.T) {
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/alice"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/*"}]}`
	until := start.Add(48 * time.Hour).Format(time.RFC3339)
	retain := func(mode string) string {
		return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"
	}
	const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
	for _, tt := range []struct {
		line    string
		head    H
		body    string
		kind    audit.ActKind
		before  string // pieces, apart by "…"
		after   string
		version bool // of the object of the bucket with object lock
	}{
		{line: "PUT /new", kind: audit.OnConfiguration, after: `"owner":"root"`},
		{line: "DELETE /empty", kind: audit.OnConfiguration, before: `"owner":"root"`},
		{line: "PUT /bkt?policy", body: strings.ReplaceAll(policy, "%s", "bkt"), kind: audit.OnPermission, after: `user/alice`},
		{line: "DELETE /open?policy", kind: audit.OnPermission, before: `user/alice`},
		{line: "PUT /bkt?versioning", body: enabled, kind: audit.OnConfiguration, before: `"versioning":"off"`, after: `"versioning":"enabled"`},
		{line: "DELETE /bkt?publicAccessBlock", kind: audit.OnPermission, after: "removed"},
		{line: "PUT /bkt?tagging", body: "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>", kind: audit.OnConfiguration, after: "<Key>k</Key>"},
		{line: "PUT /bkt?lifecycle", body: "<LifecycleConfiguration><Rule><ID>r</ID><Filter/><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>",
			kind: audit.OnConfiguration, after: `"r"`},
		{line: "PUT /bkt?ownershipControls", body: "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>", kind: audit.OnPermission, after: "ObjectWriter"},
		{line: "PUT /locked?object-lock", body: "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
			kind: audit.OnLock, before: `"object_lock":true`, after: `"mode":"COMPLIANCE","days":3`},
		{line: "PUT /locked/k?retention", body: retain("COMPLIANCE"), kind: audit.OnLock, before: `"mode":"GOVERNANCE"`, after: `"mode":"COMPLIANCE"`, head: H{"x-amz-bypass-governance-retention": "true"}},
		{line: "PUT /locked/k?legal-hold", body: "<LegalHold><Status>ON</Status></LegalHold>", kind: audit.OnLock, before: `"legal_hold":false`, after: `"legal_hold":true`},
		{line: "DELETE /locked/k?versionId=", version: true, kind: audit.OnLock, before: `"mode":"GOVERNANCE"`, head: H{"x-amz-bypass-governance-retention": "true"}},
		{line: "POST /locked?delete", body: "<Delete><Object><Key>k</Key></Object></Delete>", kind: audit.OnLock, after: `"Key":"k"…"Marker":true`, head: H{"x-amz-bypass-governance-retention": "true"}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			s := newServer(t)
			for _, b := range []string{"bkt", "empty", "open"} {
				s.must("PUT /"+b, nil, "")
			}
			s.must("PUT /open?policy", nil, strings.ReplaceAll(policy, "%s", "open"))
			s.must("PUT /locked", H{"x-amz-bucket-object-lock-enabled": "true"}, "")
			made := s.must("PUT /locked/k", H{"Content-Md5": md5Of("x"), "x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": start.Add(time.Hour).Format(time.RFC3339)}, "x")
			if tt.version {
				tt.line += made.header.Get("X-Amz-Version-Id")
			}
			head := H{}
			maps.Copy(head, tt.head)
			if tt.body != "" {
				head["Content-Md5"] = md5Of(tt.body)
			}
			var acts []*audit.Act
			s.service.RecordAct = func(a *audit.Act) { acts = append(acts, a) }
			if a := s.do(tt.line, head, tt.body); a.status/100 != 2 {
				t.Fatalf("answered %d %s", a.status, a.body)
			}
			if len(acts) != 1 {
				t.Fatalf("%d acts", len(acts))
			}
			a := acts[0]
			if a.Kind != tt.kind || a.User != "root" || a.RequestID != "R" || !strings.HasPrefix(tt.line, strings.SplitN(tt.line, " ", 2)[0]+" /"+a.Target) || a.Bypass != (tt.head != nil) {
				t.Errorf("act %+v", a)
			}
			for _, side := range []struct{ name, got, want string }{{"before", a.Before, tt.before}, {"after", a.After, tt.after}} {
				if (side.want == "") != (side.got == "") {
					t.Errorf("%s: %q, want %q", side.name, side.got, side.want)
				}
				for _, piece := range strings.Split(side.want, "…") {
					if !strings.Contains(side.got, piece) {
						t.Errorf("%s: %q lacks %q", side.name, side.got, piece)
					}
				}
			}
		})
	}
}

// What is refused is no act, and neither is what changes nothing that was set.
func TestNoActs(t *testing.T) {
	s := newServer(t)
	s.must("PUT /bkt", nil, "")
	s.service.RecordAct = func(a *audit.Act) { t.Errorf("act %+v", a) }
	s.must("PUT /bkt/k", nil, "x")
	s.must("GET /bkt?versioning", nil, "")
	s.must("DELETE /bkt/k", nil, "")
	for line, body := range map[string]string{"PUT /bkt?policy": "{", "PUT /none?versioning": "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", "PUT /bkt": "", "PUT /bkt?website": "<x/>"} {
		if a := s.do(line, nil, body); a.status/100 == 2 {
			t.Errorf("%s: %d", line, a.status)
		}
	}
}

// unsure is a store that does not say what came of a change.
type unsure struct{ *apitest.Memory }

func (unsure) SetVersioning(context.Context, string, api.VersioningState) error {
	return &api.Error{Kind: api.OutcomeUnknown}
}

// An act of which nobody knows whether it happened is recorded with its error.
func TestActUnknown(t *testing.T) {
	s := newServer(t)
	s.must("PUT /bkt", nil, "")
	s.service.Versions = unsure{s.store}
	var acts []*audit.Act
	s.service.RecordAct = func(a *audit.Act) { acts = append(acts, a) }
	if a := s.do("PUT /bkt?versioning", nil, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"); a.status/100 != 5 {
		t.Fatalf("answered %d", a.status)
	}
	if len(acts) != 1 || acts[0].Failed == "" || acts[0].Failed == string(s3err.AccessDenied) {
		t.Errorf("acts %+v", acts)
	}
}
