package s3op_test

import (
	"context"
	"fmt"
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
			log := &actBook{t: t}
			s.service.Acts = log
			if a := s.do(tt.line, head, tt.body); a.status/100 != 2 {
				t.Fatalf("answered %d %s", a.status, a.body)
			}
			if len(log.intents) != 1 || len(log.acts) != 1 || len(log.refusals) != 0 {
				t.Fatalf("%d intents, %d acts, %d refusals", len(log.intents), len(log.acts), len(log.refusals))
			}
			a, in := log.acts[0], log.intents[0]
			if in.Intent == "" || a.Intent != in.Intent || in.Operation != a.Operation || in.Target != a.Target || in.Before != a.Before || in.After != "" {
				t.Errorf("the intent of %+v is %+v", a, in)
			}
			if now, ok := s.service.StateNow(t.Context(), &in); !ok || now != a.After && a.Operation != "DeleteObjects" {
				t.Errorf("the state now is %q, and was %q after the act", now, a.After)
			}
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
	log := &actBook{t: t}
	s.service.Acts = log
	s.must("PUT /bkt/k", nil, "x")
	s.must("GET /bkt?versioning", nil, "")
	s.must("DELETE /bkt/k", nil, "")
	for line, body := range map[string]string{"PUT /bkt?policy": "{", "PUT /none?versioning": "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", "PUT /bkt": "", "PUT /bkt?website": "<x/>"} {
		if a := s.do(line, nil, body); a.status/100 == 2 {
			t.Errorf("%s: %d", line, a.status)
		}
	}
	if len(log.acts) != 0 || len(log.intents) != len(log.refusals) {
		t.Errorf("%d acts; %d intents, %d refusals", len(log.acts), len(log.intents), len(log.refusals))
	}
	before := len(log.intents)
	s.as() // who may nothing leaves no intent, and neither does what is no policy
	s.do("PUT /bkt?policy", nil, bucketPolicy("Allow", `"*"`, "s3:GetObject", "/*"))
	s.root()
	s.do("PUT /bkt?policy", nil, "{")
	if len(log.intents) != before {
		t.Errorf("%d intents", len(log.intents)-before)
	}
	log.fail = audit.ErrClosed
	if a := s.do("PUT /bkt?versioning", nil, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"); a.status != 503 {
		t.Errorf("an act that cannot be put on record: %d", a.status)
	}
	if a := s.must("GET /bkt?versioning", nil, ""); strings.Contains(a.body, "Enabled") {
		t.Error("it was done without a record")
	}
}

// actBook is a log of acts.
type actBook struct {
	t        *testing.T
	fail     error
	intents  []audit.Act
	acts     []*audit.Act
	refusals []*audit.Refusal
}

// Begin implements s3op.ActLog.
func (b *actBook) Begin(a *audit.Act, _ string) error {
	if b.fail != nil {
		return b.fail
	}
	if len(b.intents) > len(b.acts)+len(b.refusals) {
		b.t.Error("an act has two intents")
	}
	a.Intent = fmt.Sprint("I", len(b.intents))
	b.intents = append(b.intents, *a)
	return nil
}

// Append implements s3op.ActLog.
func (b *actBook) Append(e audit.Entry) error {
	switch e := e.(type) {
	case *audit.Act:
		b.acts = append(b.acts, e)
	case *audit.Refusal:
		b.refusals = append(b.refusals, e)
	}
	return nil
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
	log := &actBook{t: t}
	s.service.Acts = log
	if a := s.do("PUT /bkt?versioning", nil, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"); a.status/100 != 5 {
		t.Fatalf("answered %d", a.status)
	}
	if acts := log.acts; len(log.intents) != 1 || len(acts) != 1 || acts[0].Failed == "" || acts[0].Failed == string(s3err.AccessDenied) || acts[0].Intent == "" {
		t.Errorf("acts %+v", acts)
	}
}
