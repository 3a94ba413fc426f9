package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcreds "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
	"shoal/node/api"
)

const (
	// revokedWithin is how long after the acknowledgement what was taken may still be used, on any gateway.
	revokedWithin = time.Second
	// probesAfter is how many requests of each gateway must have begun after that.
	probesAfter = 5
	// probesCutOff is so many where each waits for what cannot be confirmed, and is tried again by the SDK.
	probesCutOff = 2
	// staleIdentity is the setting for how long a site that is cut off goes by what it knew. In its last part,
	// servedAgain, the site has noticed that it is cut off.
	staleIdentity = 40 * time.Second
	servedAgain   = 20 * time.Second
	probeEvery    = 50 * time.Millisecond
	// violationsShown bounds the list of a failure.
	violationsShown = 100
)

// probe is one request.
type probe struct {
	began, ended time.Time // by the clock of the test, before it was sent and after the answer
	passed       bool
	answer       string // code of the error, or what went wrong
}

// stream is one caller that asks one gateway again and again.
type stream struct {
	gateway int
	caller  string
	client  *s3.Client

	mu     sync.Mutex // guards probes
	probes []probe
}

// run asks until ctx ends.
func (s *stream) run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		p := probe{began: time.Now()}
		p.answer = s.ask(ctx)
		p.passed, p.ended = p.answer == "", time.Now()
		s.mu.Lock()
		s.probes = append(s.probes, p)
		s.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// ask reads the object, and gives "" when it came.
func (s *stream) ask(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("revoke"), Key: aws.String("k")})
	var refused smithy.APIError
	switch {
	case err == nil:
		defer out.Body.Close()
		if _, err := io.Copy(io.Discard, out.Body); err != nil {
			return err.Error()
		}
		return ""
	case errors.As(err, &refused):
		return refused.ErrorCode()
	}
	return err.Error()
}

// since counts the requests that began after a time, and those of them that passed.
func (s *stream) since(at time.Time) (all, passed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.probes {
		if p.began.After(at) {
			all++
			if p.passed {
				passed++
			}
		}
	}
	return all, passed
}

// violations are the requests that passed and could no more.
func (s *stream) violations(e *taken) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.probes {
		if p.passed && p.began.After(e.at) && (e.until.IsZero() || p.ended.Before(e.until)) {
			out = append(out, fmt.Sprintf("gateway %d served %s %.3f s after %s", s.gateway, s.caller, (p.began.Sub(e.at)+revokedWithin).Seconds(), e.what))
		}
	}
	return out
}

// revocation is a cluster whose gateways are asked by many callers at once.
type revocation struct {
	t       *testing.T
	c       *cluster.Cluster
	streams []*stream
	ends    []*taken
}

// taken says that nothing may pass on some streams that begins after a time, and ends before another if there is one.
type taken struct {
	what      string
	at, until time.Time
	streams   []*stream
}

func (r *revocation) admin(args ...string) {
	r.t.Helper()
	if out, err := r.c.Operator().Admin(args...); err != nil {
		r.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

func (r *revocation) file(text string) string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "document")
	must(r.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// user makes a user with policies, and an access key of it.
func (r *revocation) user(name string, policies ...string) aws.Credentials {
	r.t.Helper()
	r.admin("user", "create", name)
	for _, p := range policies {
		r.admin("user", "attach", name, p)
	}
	var k api.IssuedKey
	r.c.Operator().AdminJSON(&k, "key", "create", name)
	return aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.Secret}
}

// session asks for a session, until the right to have one is known.
func (r *revocation) session(of aws.Credentials) aws.Credentials {
	r.t.Helper()
	p := r.c.Gateways()[0]
	var client *sts.Client
	p.S3(func(o *s3.Options) { // whose connections begin where the gateway is
		client = sts.New(sts.Options{Region: cluster.Region, BaseEndpoint: aws.String(p.Endpoint()), HTTPClient: o.HTTPClient, Credentials: sdkcreds.StaticCredentialsProvider{Value: of}})
	})
	var creds aws.Credentials
	eventually(r.t, cutWithin, func() error {
		out, err := client.AssumeRole(r.t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::000000000000:role/reads"), RoleSessionName: aws.String("test"), DurationSeconds: aws.Int32(900)})
		if err == nil {
			creds = aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
		}
		return err
	})
	return creds
}

// start has a caller ask all gateways.
func (r *revocation) start(ctx context.Context, done *sync.WaitGroup, caller string, creds aws.Credentials) {
	r.t.Helper()
	for i, p := range r.c.Gateways() {
		client := p.S3(func(o *s3.Options) {
			if creds.AccessKeyID != "" {
				o.Credentials = sdkcreds.StaticCredentialsProvider{Value: creds}
			}
		})
		s := &stream{gateway: i, caller: caller, client: client}
		r.streams = append(r.streams, s)
		done.Go(func() { s.run(ctx) })
	}
}

// of are the streams of a caller, on one gateway or, with -1, on all.
func (r *revocation) of(caller string, gateway int) (out []*stream) {
	for _, s := range r.streams {
		if s.caller == caller && (gateway < 0 || s.gateway == gateway) {
			out = append(out, s)
		}
	}
	return out
}

// passes waits until each of some streams had an answer after a time.
func (r *revocation) passes(at time.Time, streams ...*stream) {
	r.t.Helper()
	eventually(r.t, cutWithin, func() error {
		for _, s := range streams {
			if _, passed := s.since(at); passed == 0 {
				s.mu.Lock()
				defer s.mu.Unlock()
				last := "nothing was asked"
				if n := len(s.probes); n > 0 {
					last = s.probes[n-1].answer
				}
				return fmt.Errorf("%s has had nothing of gateway %d: %s", s.caller, s.gateway, last)
			}
		}
		return nil
	})
}

// over notes what has just ended for some streams.
func (r *revocation) over(what string, streams ...*stream) *taken {
	e := &taken{what: what, at: time.Now().Add(revokedWithin), streams: streams}
	r.ends = append(r.ends, e)
	return e
}

// probed waits until enough requests of some streams have begun after they may pass no more.
func (r *revocation) probed(e *taken, streams ...*stream) {
	r.t.Helper()
	r.asked(e, probesAfter, streams...)
}

// asked waits until so many requests of each of some streams have.
func (r *revocation) asked(e *taken, least int, streams ...*stream) {
	r.t.Helper()
	eventually(r.t, cutWithin, func() error {
		for _, s := range streams {
			if n, _ := s.since(e.at); n < least {
				return fmt.Errorf("%d requests of %s to gateway %d began a second after %s", n, s.caller, s.gateway, e.what)
			}
		}
		return nil
	})
}

// check lists all requests that passed when they could no more.
func (r *revocation) check() {
	r.t.Helper()
	var all []string
	asked := 0
	for _, e := range r.ends {
		for _, s := range e.streams {
			n, _ := s.since(e.at)
			asked += n
			all = append(all, s.violations(e)...)
		}
	}
	r.t.Logf("%d requests began more than %v after what they needed was taken", asked, revokedWithin)
	if len(all) > 0 {
		r.t.Errorf("%d of them passed:\n%s", len(all), strings.Join(all[:min(len(all), violationsShown)], "\n"))
	}
}

const (
	readsObject  = `{"Statement":{"Effect":"Allow","Action":["s3:GetObject","sts:AssumeRole"],"Resource":"*"}}`
	readsNothing = `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::another/*"}}`
)

// bucketPolicy lets a user read.
func (r *revocation) bucketPolicy(user string) {
	r.t.Helper()
	doc := fmt.Sprintf(`{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:user/%s"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::revoke/*"}}`, api.Account, user)
	_, err := r.c.Gateways()[0].S3().PutBucketPolicy(r.t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("revoke"), Policy: &doc})
	must(r.t, err)
}

// TestRevocation has callers read through three gateways without a pause while one after the other loses what lets them:
// no request that begins more than a second after that was acknowledged passes. Then the site of the third gateway, with the
// bucket, is cut off from the system group: it serves root and users for as long as the setting stale-identity says, and then
// nobody. What is revoked meanwhile is refused elsewhere within a second.
func TestRevocation(t *testing.T) {
	atLength(t)
	cluster.Need(t, netns.Available())
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 1, Sites: []string{"main"}, Network: true})
	for _, site := range []string{"main", "main", "edge", "edge"} {
		c.AddNode(site)
	}
	for _, site := range []string{"main", "main", "edge"} {
		c.AddGateway(site)
	}
	const edge = 2
	r := &revocation{t: t, c: c}
	waitRedundant(t, c)
	near := c.Gateways()[edge].S3()
	must(t, bound(t, c.Nodes()[0].S3(), "revoke", "edge"))
	eventually(t, cutWithin, func() error { return putText(t, near, "revoke", "k", 1<<10, "") })

	r.admin("settings", "set", api.SettingStaleIdentity, staleIdentity.String())
	r.admin("policy", "create", "reads", r.file(readsObject))
	r.admin("policy", "create", "changed", r.file(readsObject))
	r.admin("group", "create", "staff")
	r.admin("group", "attach", "staff", "reads")
	callers := map[string]aws.Credentials{"root": {}}
	for _, name := range []string{"key", "deleted", "disabled", "detached", "kept", "late"} {
		callers[name] = r.user(name, "reads")
	}
	callers["policy"], callers["member"], callers["bucket"] = r.user("policy", "changed"), r.user("member"), r.user("bucket")
	r.admin("user", "join", "member", "staff")
	r.bucketPolicy("bucket")
	parent := r.user("parent", "reads")
	callers["session"] = r.session(parent)

	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	defer done.Wait()
	defer cancel()
	for name, creds := range callers {
		r.start(ctx, &done, name, creds)
	}
	r.passes(time.Time{}, r.streams...)

	for _, step := range []struct {
		caller, what string
		take         func()
	}{
		{"key", "its key was revoked", func() { r.admin("key", "revoke", callers["key"].AccessKeyID, "--yes") }},
		{"member", "it left its group", func() { r.admin("user", "leave", "member", "staff") }},
		{"bucket", "the bucket's policy named another", func() { r.bucketPolicy("kept") }},
		{"deleted", "it was deleted", func() { r.admin("user", "delete", "deleted", "--yes") }},
		{"session", "the key of its session was disabled", func() { r.admin("key", "disable", parent.AccessKeyID, "--yes") }},
		{"disabled", "it was disabled", func() { r.admin("user", "disable", "disabled", "--yes") }},
		{"detached", "its policy was detached", func() { r.admin("user", "detach", "detached", "reads") }},
		{"policy", "its policy was changed", func() { r.admin("policy", "set", "changed", r.file(readsNothing), "--yes") }},
	} {
		r.passes(time.Now(), r.of(step.caller, -1)...)
		step.take()
		r.probed(r.over(step.what, r.of(step.caller, -1)...), r.of(step.caller, -1)...)
	}
	r.passes(time.Now(), append(r.of("kept", -1), r.of("late", -1)...)...)

	cut(t, c, "edge")
	cutOff := append(append(r.of("kept", edge), r.of("late", edge)...), r.of("root", edge)...)
	off := r.over("its site had been cut off for as long as the setting allows", cutOff...)
	off.at = off.at.Add(staleIdentity)
	r.admin("key", "revoke", callers["late"].AccessKeyID, "--yes")
	elsewhere := append(r.of("late", 0), r.of("late", 1)...)
	r.probed(r.over("its key was revoked", elsewhere...), elsewhere...)
	r.passes(off.at.Add(-servedAgain), r.of("kept", edge)...)
	r.passes(off.at.Add(-servedAgain), r.of("root", edge)...)
	r.asked(off, probesCutOff, cutOff...)
	off.until = time.Now()
	must(t, c.Network().Apply())
	r.passes(off.until, r.of("kept", -1)...)
	r.probed(r.over("the network was whole again", r.of("late", -1)...), r.of("late", -1)...)
	cancel()
	done.Wait()
	r.check()
}
