package iam_test

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/acl"
	"shoal/acl/grant"
	"shoal/acl/policy"
	"shoal/gateway/iam"
	"shoal/gateway/s3xml"
	"shoal/gateway/sigv4"
	"shoal/node/api"
	"shoal/node/apitest"
)

// truth is what AWS documents of who may do what, in tables below testdata/truth: decisions.txt has all kinds of rules
// together, conditions.txt a condition and what a request brings, statements.txt statements of an identity's policy.
// Each row names the page that it follows from. Answers are AWS's: allowed, implicitDeny, explicitDeny.
type truth struct {
	decisions, conditions, statements []line
	policies                          map[string]string // statements by name
}

// line is one row.
type line struct {
	where  string // file:number
	fields []string
}

// Columns of decisions.txt.
const (
	colWho = iota
	colIdentity
	colGroup
	colBucket
	colACL
	colOwnership
	colBlock
	colSessions
	colAction
	colResource
	colContext
	colAnswer
	colBy
	colSource
	decisionColumns
)

// truthRows is how many rows of decisions there are at least.
const truthRows = 400

// readTable reads a table whose columns cut tells apart. Lines that begin with # are comments.
func readTable(t *testing.T, name string, columns int, cut func(string) []string) []line {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "truth", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []line
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		text := s.Text()
		if text == "" || text[0] == '#' {
			continue
		}
		l := line{fmt.Sprintf("%s:%d", name, n), cut(text)}
		if len(l.fields) != columns {
			t.Fatalf("%s has %d columns, not %d", l.where, len(l.fields), columns)
		}
		out = append(out, l)
	}
	return out
}

func byTabs(text string) []string { return strings.Split(text, "\t") }

func readTruth(t *testing.T) *truth {
	t.Helper()
	tr := &truth{policies: make(map[string]string)}
	tr.decisions = readTable(t, "decisions.txt", decisionColumns, strings.Fields)
	tr.conditions = readTable(t, "conditions.txt", 4, byTabs)
	tr.statements = readTable(t, "statements.txt", 5, byTabs)
	for _, l := range readTable(t, "policies.txt", 2, byTabs) {
		tr.policies[l.fields[0]] = l.fields[1]
	}
	return tr
}

// question is one row, made into documents as a store keeps them.
type question struct {
	t                    *testing.T
	who                  string // root, anonymous or a user's name
	identity, group      []string
	roles                map[string]string // documents by the names of roles
	bucket               string            // document; "" is none
	bucketACL, objectACL grant.ACL
	ownership, block     string
	auth                 sigv4.Auth
	action, resource     string
	context              string
}

// ask decides as the gateway does: policies, groups, access keys, sessions and the bucket's configuration come from the
// store, and iam puts them together.
func (q *question) ask() acl.Decision {
	q.t.Helper()
	people, store := new(apitest.Identities), newCounted(q.t)
	q.people(people)
	q.configure(store)
	s := run(q.t, people)
	var caller iam.Caller
	if q.who != "anonymous" {
		var err error
		if caller, err = s.Caller(q.t.Context(), &q.auth); err != nil {
			q.t.Fatal(err)
		}
	}
	r := acl.Request{Action: q.action, Resource: "*"}
	r.SetPrincipal(&caller.Principal)
	rules := caller.Rules()
	bucket := new(iam.BucketRules)
	var object func() ([]byte, bool, error)
	if q.resource != "*" {
		r.Resource = acl.BucketARN(q.resource)
		name, _, isObject := strings.Cut(q.resource, "/")
		var err error
		if bucket, err = iam.NewBuckets(store).Rules(q.t.Context(), name); err != nil {
			q.t.Fatal(err)
		}
		bucket.Apply(&rules, q.action)
		if isObject {
			object = func() ([]byte, bool, error) { return q.objectACL.Append(nil), true, nil }
		}
	}
	if v, ok := iam.RequestKeys(&http.Request{}, &caller, "", time.Now())["aws:multifactorauthpresent"]; ok { // who asks decides it
		r.Set("aws:multifactorauthpresent", v...)
	}
	for _, pair := range strings.Split(q.context, ";") {
		if name, values, ok := strings.Cut(pair, "="); ok {
			r.Set(name, strings.Split(values, "|")...)
		}
	}
	d, err := bucket.Decide(&r, &rules, object)
	if err != nil {
		q.t.Fatal(err)
	}
	return d
}

func (q *question) people(people *apitest.Identities) {
	q.t.Helper()
	for _, name := range []string{"alice", "bob"} {
		change(q.t, people, api.KindUser, name, api.DoCreate, "")
	}
	user := q.who
	if user == "root" || user == "anonymous" {
		user = "bob" // whose policies are nothing to others
	}
	for i, doc := range q.identity {
		name := fmt.Sprint("own", i)
		change(q.t, people, api.KindPolicy, name, api.DoCreate, doc)
		change(q.t, people, api.KindUser, user, api.DoAttach, name)
	}
	if len(q.group) > 0 {
		change(q.t, people, api.KindGroup, "staff", api.DoCreate, "")
		change(q.t, people, api.KindUser, user, api.DoJoin, "staff")
	}
	for i, doc := range q.group {
		name := fmt.Sprint("shared", i)
		change(q.t, people, api.KindPolicy, name, api.DoCreate, doc)
		change(q.t, people, api.KindGroup, "staff", api.DoAttach, name)
	}
	for name, doc := range q.roles {
		change(q.t, people, api.KindPolicy, name, api.DoCreate, doc)
	}
	if q.auth.AccessKeyID, q.auth.Principal = "AK", "user:"+q.who; q.who == "root" {
		q.auth.Principal = api.RootPrincipal
	}
}

// configure gives the bucket b its documents.
func (q *question) configure(store *counted) {
	q.t.Helper()
	set := func(name string, doc []byte) {
		if len(doc) == 0 {
			return
		}
		if err := store.SetConfiguration(q.t.Context(), &api.SetConfiguration{Bucket: "b", Name: name, Document: doc}); err != nil {
			q.t.Fatal(err)
		}
	}
	if q.bucket != "" {
		if _, err := policy.ParseBucket("b", []byte(q.bucket)); err != nil {
			q.t.Fatal(err)
		}
	}
	set(api.ConfigPolicy, []byte(q.bucket))
	set(api.ConfigACL, q.bucketACL.Append(nil))
	switch q.ownership {
	case "removed":
		set(api.ConfigOwnership, []byte(iam.RemovedDocument))
	case "enforced":
		set(api.ConfigOwnership, s3xml.AppendOwnership(nil, iam.OwnershipEnforced))
	case "preferred":
		set(api.ConfigOwnership, s3xml.AppendOwnership(nil, iam.OwnershipPreferred))
	case "writer":
		set(api.ConfigOwnership, s3xml.AppendOwnership(nil, iam.OwnershipWriter))
	}
	switch q.block {
	case "", "default": // as a new bucket has it
	case "none":
		set(api.ConfigPublicAccess, []byte(iam.RemovedDocument))
	default:
		set(api.ConfigPublicAccess, s3xml.AppendPublicAccess(nil, s3xml.PublicAccess{
			IgnoreACLs: strings.Contains(q.block, "ignore"), Restrict: strings.Contains(q.block, "restrict"),
		}))
	}
}

// answer is AWS's word for a decision.
func answer(d *acl.Decision) string {
	switch {
	case d.Allowed:
		return "allowed"
	case d.Explicit:
		return "explicitDeny"
	}
	return "implicitDeny"
}

func documentOf(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

// documents are those of policies by their names, none for "-".
func (tr *truth) documents(t *testing.T, names string) (out []string) {
	t.Helper()
	for name := range strings.SplitSeq(names, ",") {
		if name == "-" {
			continue
		}
		statements, ok := tr.policies[name]
		if !ok {
			t.Fatalf("no policy %q", name)
		}
		out = append(out, documentOf(statements))
	}
	return out
}

// joined is one document with the statements of several policies.
func (tr *truth) joined(t *testing.T, names string) string {
	t.Helper()
	var all []string
	for name := range strings.SplitSeq(names, ",") {
		if tr.policies[name] == "" {
			t.Fatalf("no policy %q", name)
		}
		all = append(all, tr.policies[name])
	}
	return documentOf(strings.Join(all, ","))
}

// aclsOf reads grants such as bucket:alice:READ.
func aclsOf(t *testing.T, text string) (bucket, object grant.ACL) {
	t.Helper()
	bucket = grant.Private(acl.CanonicalID(api.RootPrincipal))
	object = slices.Clone(bucket)
	if text == "-" {
		return bucket, object
	}
	for one := range strings.SplitSeq(text, ",") {
		f := strings.Split(one, ":")
		p, ok := grant.ParsePermission(f[2])
		g := grant.Grantee{ID: acl.CanonicalID(api.UserPrincipal + f[1])}
		if f[1] == "root" {
			g.ID = acl.CanonicalID(api.RootPrincipal)
		}
		for of := grant.AllUsers; of <= grant.LogDelivery; of++ {
			if all := (grant.Grantee{Group: of}); all.String() == f[1] {
				g = all
			}
		}
		if !ok {
			t.Fatalf("no permission %q", f[2])
		}
		if f[0] == "bucket" {
			bucket = append(bucket, grant.Grant{Grantee: g, Permission: p})
		} else {
			object = append(object, grant.Grant{Grantee: g, Permission: p})
		}
	}
	return bucket, object
}

// question makes a row of decisions.txt into a question.
func (tr *truth) question(t *testing.T, f []string) *question {
	t.Helper()
	q := &question{t: t, who: f[colWho], ownership: f[colOwnership], block: f[colBlock], action: f[colAction], resource: f[colResource], context: f[colContext]}
	q.identity, q.group = tr.documents(t, f[colIdentity]), tr.documents(t, f[colGroup])
	if f[colBucket] != "-" {
		q.bucket = tr.joined(t, f[colBucket])
	}
	q.bucketACL, q.objectACL = aclsOf(t, f[colACL])
	for one := range strings.SplitSeq(f[colSessions], ";") {
		kind, names, ok := strings.Cut(one, ":")
		if !ok {
			continue
		}
		if kind != "key" && q.auth.Session == nil {
			q.auth.Session = &api.Session{AccessKeyID: "SESSION", Parent: "AK"}
		}
		switch kind {
		case "key":
			q.auth.SessionPolicy = tr.joined(t, names)
		case "session":
			q.auth.Session.Policy = tr.joined(t, names)
		case "role":
			q.auth.Session.Role = "the-role"
			q.roles = map[string]string{"the-role": tr.joined(t, names)}
		}
	}
	return q
}

// TestTruth asks every row.
func TestTruth(t *testing.T) {
	tr := readTruth(t)
	for _, l := range tr.decisions {
		t.Run(l.where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := tr.question(t, l.fields).ask()
				if answer(&d) != l.fields[colAnswer] || string(d.Reason) != l.fields[colBy] {
					t.Errorf("%s: %s, want %s by %s", strings.Join(l.fields, " "), &d, l.fields[colAnswer], l.fields[colBy])
				}
			})
		})
	}
	for _, l := range tr.conditions {
		t.Run(l.where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { askCondition(t, l.fields[0], l.fields[1], l.fields[2] == "yes") })
		})
	}
	for _, l := range tr.statements {
		t.Run(l.where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &question{t: t, who: "alice", identity: []string{documentOf(l.fields[0])}, action: l.fields[1], resource: l.fields[2]}
				if d := q.ask(); answer(&d) != l.fields[3] {
					t.Errorf("%s: %s on %s: %s, want %s", l.fields[0], l.fields[1], l.fields[2], &d, l.fields[3])
				}
			})
		})
	}
}

// askCondition has a condition in a statement that allows, of an identity, and in one that denies, of a bucket.
func askCondition(t *testing.T, condition, context string, holds bool) {
	t.Helper()
	const rest = `"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":`
	allows := documentOf(`{"Effect":"Allow",` + rest + condition + `}`)
	q := question{t: t, who: "alice", identity: []string{allows}, action: "s3:GetObject", resource: "b/k", context: context}
	if d := q.ask(); d.Allowed != holds {
		t.Errorf("%s with %s: %s, holds %v", condition, context, &d, holds)
	}
	q.identity = []string{documentOf(`{"Effect":"Allow","Action":"*","Resource":"*"}`)}
	q.bucket = documentOf(`{"Effect":"Deny","Principal":"*",` + rest + condition + `}`)
	if d := q.ask(); d.Explicit != holds || d.Allowed == holds {
		t.Errorf("%s denies with %s: %s, holds %v", condition, context, &d, holds)
	}
}

var (
	operatorName = regexp.MustCompile(`"(?:ForAllValues:|ForAnyValue:)?([A-Z][A-Za-z]+?)(?:IfExists)?":\{`)
	keyName      = regexp.MustCompile(`"((?i:aws|s3):[A-Za-z0-9-]+/?)[^"]*":`)
)

// TestTruthCovers: there are as many rows as was promised, each is there once and has its source, and every operator,
// condition key, kind of answer, reason and policy occurs.
func TestTruthCovers(t *testing.T) {
	tr := readTruth(t)
	sources := make(map[string]bool)
	for _, l := range readTable(t, "sources.txt", 3, byTabs) {
		sources[l.fields[0]] = false
	}
	seen := make(map[string]string)
	occurs := make(map[string]bool)
	all := slices.Concat(tr.decisions, tr.conditions, tr.statements)
	for _, l := range all {
		source := l.fields[len(l.fields)-1]
		if _, ok := sources[source]; !ok {
			t.Errorf("%s: no source %q", l.where, source)
		}
		sources[source] = true
		text := strings.Join(l.fields[:len(l.fields)-1], " ")
		if before := seen[text]; before != "" {
			t.Errorf("%s is %s again", l.where, before)
		}
		seen[text] = l.where
	}
	if len(tr.decisions) < truthRows {
		t.Errorf("%d rows of decisions, want %d", len(tr.decisions), truthRows)
	}
	for _, l := range tr.decisions {
		occurs[l.fields[colAnswer]], occurs[l.fields[colBy]] = true, true
		for name := range strings.FieldsFuncSeq(strings.Join(l.fields[colIdentity:colSessions+1], ","), func(c rune) bool { return strings.ContainsRune(",;:", c) }) {
			occurs["policy "+name] = true
		}
	}
	for _, l := range tr.conditions {
		occurs["a condition that holds: "+l.fields[2]] = true
		for _, m := range operatorName.FindAllStringSubmatch(l.fields[0], -1) {
			occurs["operator "+m[1]] = true
		}
		for _, m := range keyName.FindAllStringSubmatch(l.fields[0], -1) {
			occurs["key "+strings.ToLower(m[1])] = true
		}
	}
	want := []string{"allowed", "implicitDeny", "explicitDeny", "a condition that holds: yes", "a condition that holds: no"}
	for _, r := range acl.Reasons() {
		want = append(want, string(r))
	}
	for _, name := range policy.OperatorNames() {
		want = append(want, "operator "+name)
	}
	for _, name := range policy.KeyNames() {
		want = append(want, "key "+name)
	}
	for name := range maps.Keys(tr.policies) {
		want = append(want, "policy "+name)
	}
	for _, w := range want {
		if !occurs[w] {
			t.Errorf("no row has %s", w)
		}
	}
	for s, used := range sources {
		if !used {
			t.Errorf("no row has the source %s", s)
		}
	}
}
