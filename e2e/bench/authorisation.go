package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"shoal/acl"
	"shoal/acl/policy"
	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/gateway/s3op"
	"shoal/gateway/sigv4"
	"shoal/node/api"
	"shoal/node/apitest"
)

const (
	authUsers      = 10_000
	authPolicies   = 1_000
	authGroups     = 100
	authStatements = 50 // of a policy
	// Each user has so many policies of its own, and is in so many groups with so many policies each.
	ownPolicies, ownGroups, groupPolicies = 2, 2, 3

	authTarget   = 15 // µs of processor time a request
	policyTarget = 50 // µs for a policy
	recordTarget = 10 // µs for a record
	authBatch    = 200
)

// measureAuthorisation measures, in this process, what it costs to decide over a request and to record it.
func (b *bench) measureAuthorisation(ctx context.Context, dir string) error {
	if err := b.policies(); err != nil {
		return fmt.Errorf("policies: %w", err)
	}
	if err := b.decisions(ctx); err != nil {
		return fmt.Errorf("authorisation: %w", err)
	}
	if err := b.accessRecords(filepath.Join(dir, "records")); err != nil {
		return fmt.Errorf("access record: %w", err)
	}
	return nil
}

// perOperation calls do in batches for so long, and gives the median of the batches' processor time, in µs an operation.
func perOperation(long time.Duration, do func(i int) error) (row, error) {
	r := row{Clients: 1, Unit: "µs CPU"}
	var all []float64
	began := time.Now()
	for time.Since(began) < long || len(all) < 10 {
		before, err := ownTime()
		if err != nil {
			return r, err
		}
		for range authBatch {
			if err := do(r.Ops); err != nil {
				return r, err
			}
			r.Ops++
		}
		after, err := ownTime()
		if err != nil {
			return r, err
		}
		all = append(all, float64((after-before).Nanoseconds())/1000/authBatch)
	}
	r.Seconds = time.Since(began).Seconds()
	r.Value = median(all)
	return r, nil
}

// crowd is an api.Identities that never changes.
type crowd struct{ all api.IdentityChanges }

func (c *crowd) Identities(_ context.Context, known api.Known) (*api.IdentityChanges, error) {
	if known.Epoch == c.all.Epoch {
		return &api.IdentityChanges{Epoch: known.Epoch}, nil
	}
	return &c.all, nil
}

// crowdPolicy is a document of as many statements as there may be, all but the last of other buckets.
func crowdPolicy(number int) string {
	var out strings.Builder
	out.WriteString(`{"Version":"2012-10-17","Statement":[`)
	out.WriteString(`{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::secret/*"},`) // so that none is passed over
	for i := range authStatements - 2 {
		fmt.Fprintf(&out, `{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":["arn:aws:s3:::team-%d-%d/*","arn:aws:s3:::home-%d-%d/${aws:username}/*"],`+
			`"Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}},`, number, i, number, i)
	}
	out.WriteString(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bench/*/${aws:username}-*","Condition":{"StringLike":{"aws:UserAgent":"bench*"}}}]}`)
	return out.String()
}

func newCrowd() *crowd {
	c := &crowd{api.IdentityChanges{Epoch: 1, Whole: true}}
	name := func(i int) string { return fmt.Sprintf("policy-%d", i%authPolicies) }
	for i := range authPolicies {
		c.all.Policies = append(c.all.Policies, api.NamedPolicy{Name: name(i), Document: crowdPolicy(i)})
	}
	for i := range authGroups {
		g := api.UserGroup{Name: fmt.Sprintf("group-%d", i)}
		for j := range groupPolicies {
			g.Policies = append(g.Policies, name(i*groupPolicies+j))
		}
		c.all.Groups = append(c.all.Groups, g)
	}
	for i := range authUsers {
		u := api.User{Name: fmt.Sprintf("user-%d", i)}
		for j := range ownPolicies {
			u.Policies = append(u.Policies, name(500+i*ownPolicies+j))
		}
		for j := range ownGroups {
			u.Groups = append(u.Groups, fmt.Sprintf("group-%d", (i+j*37)%authGroups))
		}
		c.all.Users = append(c.all.Users, u)
	}
	return c
}

// sameObject is a store in which every key has the same object.
type sameObject struct{ api.Objects }

var theObject = api.ObjectInfo{Metadata: api.Metadata{ContentType: "text/plain"}, Size: 1024, ETag: "9a0364b9e99bb480dd25e1f0284c8555"}

func (sameObject) Head(context.Context, *api.ObjectRef) (*api.ObjectInfo, error) {
	return &theObject, nil
}

// nowhere is a ResponseWriter that drops what is written.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }

// decisions measures HEAD of an object by users, from the principal that a signature has proven to the answer, over a store that
// answers at once. So there is more in it than authorisation: the operation itself.
func (b *bench) decisions(ctx context.Context) (err error) {
	people := iam.New(iam.Config{Identities: newCrowd()})
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- people.Run(running) }()
	defer func() { cancel(); err = errors.Join(err, <-ended) }()
	store := apitest.NewMemory()
	if _, err := store.CreateBucket(ctx, api.CreateBucket{Name: bucket, Owner: api.RootPrincipal}); err != nil {
		return err
	}
	doc := fmt.Sprintf(`{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"],"Condition":{"NumericLessThan":{"s3:TlsVersion":"1.2"}}}}`, bucket, bucket)
	if err := store.SetConfiguration(ctx, &api.SetConfiguration{Bucket: bucket, Name: api.ConfigPolicy, Document: []byte(doc)}); err != nil {
		return err
	}
	service := &s3op.Service{Buckets: store, Objects: sameObject{Objects: store}, Uploads: store, Versions: store, Rules: iam.NewBuckets(store), Region: "us-east-1"}
	w := nowhere{http.Header{}}
	names, keys := make([]string, authUsers), make([]string, authUsers)
	for i := range authUsers {
		names[i] = fmt.Sprintf("user-%d", i*7919%authUsers)
		keys[i] = "docs/" + names[i] + "-1"
	}
	auths := make([]sigv4.Auth, authUsers)
	for i := range auths {
		auths[i] = sigv4.Auth{AccessKeyID: "AK", Principal: api.UserPrincipal + names[i]}
	}
	header := http.Header{"User-Agent": {"bench"}, "X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}, "X-Amz-Date": {"20260304T050607Z"}}
	query, err := s3op.ParseQuery("")
	if err != nil {
		return err
	}
	request := func(i int) error {
		i %= authUsers
		caller, err := people.Caller(ctx, &auths[i])
		if err != nil {
			return err
		}
		r := &http.Request{Method: http.MethodHead, URL: &url.URL{Path: "/" + bucket + "/" + keys[i]}, Header: header, RemoteAddr: "192.0.2.1:1000"}
		req := &s3op.Request{HTTP: r, Bucket: bucket, Key: keys[i], Query: query, Caller: caller, AuthType: "REST-HEADER", Now: time.Now()}
		clear(w.h)
		op := s3op.Match(r.Method, bucket, keys[i], query, header)
		return op.Serve(ctx, service, req, w)
	}
	if _, err := perOperation(b.short(), request); err != nil { // the caches are as warm as in a gateway that works
		return err
	}
	r, err := perOperation(b.options.duration, request)
	if err != nil {
		return err
	}
	r.Name = "authorisation, 10,000 users and 1,000 policies"
	r.Targets = []target{atMost("µs", r.Value, authTarget)}
	r.Note = fmt.Sprintf("a request; in this process: who asks, %d statements in %d policies, the bucket's, the decision, and HEAD of an object that the store answers at once",
		(ownPolicies+ownGroups*groupPolicies)*authStatements, ownPolicies+ownGroups*groupPolicies)
	b.add(r)
	return nil
}

// policies measures one policy after the other, of which each has as many statements as there may be and only the last
// allows what is asked.
func (b *bench) policies() error {
	all := make([]*policy.Policy, authPolicies)
	for i := range all {
		var err error
		if all[i], err = policy.ParseIdentity("bench", []byte(crowdPolicy(i))); err != nil {
			return err
		}
	}
	r := acl.Request{Action: "s3:GetObject", Resource: acl.ObjectARN(bucket, "docs/alice-1")}
	r.SetPrincipal(&acl.Principal{Kind: acl.User, ID: api.UserPrincipal + "alice", Name: "alice", Account: api.Account})
	r.Set("aws:UserAgent", "bench")
	r.Set("aws:SourceIp", "192.0.2.1")
	row, err := perOperation(b.short(), func(i int) error {
		if v := all[i%len(all)].Evaluate(&r); v.Effect != acl.Allow {
			return fmt.Errorf("policy %d does not allow", i%len(all))
		}
		return nil
	})
	if err != nil {
		return err
	}
	row.Name = "policy of 50 statements, one of 1,000"
	row.Targets = []target{atMost("µs", row.Value, policyTarget)}
	row.Note = "in this process: its last statement allows"
	b.add(row)
	return nil
}

// accessRecords measures appending to an access log on the disk, as a gateway does before each answer ends.
func (b *bench) accessRecords(dir string) (err error) {
	l, err := audit.Open(audit.Config{Dir: dir, Name: audit.AccessLog, Writer: "bench"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	record := audit.Record{
		RemoteAddr: "192.0.2.1:54321", User: "user:user-4711", AccessKeyID: "SHOALBENCHMARK000001", Method: http.MethodGet, Bucket: bucket,
		Key: "docs/user-4711-1", Operation: "GetObject", Status: http.StatusOK, BytesSent: 4096, UserAgent: "aws-sdk-go-v2/1.41.0 os/linux lang/go",
		Duration: 432 * time.Microsecond, RequestID: "0123456789ABCDEF", Decision: audit.Allowed, Reason: "s3:GetObject allowed by identity_policy policy-4711, statement 50",
	}
	r, err := perOperation(b.short(), func(int) error {
		record.Time = time.Now()
		return l.Append(&record)
	})
	if err != nil {
		return err
	}
	r.Name = "access record"
	r.Targets = []target{atMost("µs", r.Value, recordTarget)}
	r.Note = "a record in the chain, written to a log on the disk, by one client; in this process"
	b.add(r)
	return nil
}
