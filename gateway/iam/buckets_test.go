package iam_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/acl"
	"shoal/gateway/iam"
	"shoal/gateway/sigv4"
	"shoal/node/api"
	"shoal/node/apitest"
)

// counted counts what is asked of a store.
type counted struct {
	*apitest.Memory
	asked atomic.Int64
	fail  atomic.Bool
	slow  chan struct{} // holds answers back when set
}

func (c *counted) Configuration(ctx context.Context, bucket string, epoch uint64) (*api.Configuration, error) {
	c.asked.Add(1)
	if c.fail.Load() {
		return nil, errors.New("cut off")
	}
	out, err := c.Memory.Configuration(ctx, bucket, epoch)
	if c.slow != nil {
		<-c.slow
	}
	return out, err
}

func newCounted(t *testing.T) *counted {
	c := &counted{Memory: apitest.NewMemory()}
	if _, err := c.CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *counted) setPolicy(t *testing.T, effect string) {
	t.Helper()
	doc := fmt.Appendf(nil, `{"Statement":{"Effect":%q,"Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`, effect)
	if err := c.SetConfiguration(t.Context(), &api.SetConfiguration{Bucket: "b", Name: api.ConfigPolicy, Document: doc}); err != nil {
		t.Fatal(err)
	}
}

func effect(t *testing.T, b *iam.Buckets) acl.Effect {
	t.Helper()
	r, err := b.Rules(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if r.Policy == nil {
		return acl.None
	}
	return r.Policy.Evaluate(&acl.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k"}).Effect
}

// TestBucketRules: a policy that another gateway has set counts within a second, the own one at once, and
// not every request asks.
func TestBucketRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newCounted(t)
		b := iam.NewBuckets(store)
		if effect(t, b) != acl.None {
			t.Error("a policy from nowhere")
		}
		for range 100 {
			effect(t, b)
		}
		if n := store.asked.Load(); n != 1 {
			t.Errorf("%d questions for 101 requests", n)
		}
		for _, e := range []struct {
			text string
			want acl.Effect
		}{{"Allow", acl.Allow}, {"Deny", acl.Deny}, {"Allow", acl.Allow}} {
			store.setPolicy(t, e.text)
			<-time.After(time.Second)
			if got := effect(t, b); got != e.want {
				t.Errorf("a second after %s: %v", e.text, got)
			}
		}
		store.setPolicy(t, "Deny")
		b.Forget("b")
		if got := effect(t, b); got != acl.Deny {
			t.Errorf("at once: %v", got)
		}
		store.fail.Store(true)
		<-time.After(time.Second)
		if _, err := b.Rules(t.Context(), "b"); err == nil {
			t.Error("rules that cannot be confirmed are given")
		}
	})
}

// TestRulesAreAskedForBeside: while Run runs, a request does not wait for rules that are known and not too old, and what was
// asked beside it counts afterwards.
func TestRulesAreAskedForBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newCounted(t)
		b := iam.NewBuckets(store)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		synctest.Wait() // somebody takes what is due
		effect(t, b)
		store.slow = make(chan struct{})
		store.setPolicy(t, "Allow")
		<-time.After(500 * time.Millisecond)
		if got := effect(t, b); got != acl.None {
			t.Errorf("%v before the answer", got)
		}
		synctest.Wait()
		if n := store.asked.Load(); n != 2 {
			t.Errorf("%d questions, one before and one beside a request", n)
		}
		if got := effect(t, b); got != acl.None {
			t.Errorf("%v while somebody asks", got)
		}
		close(store.slow)
		synctest.Wait()
		if got := effect(t, b); got != acl.Allow || store.asked.Load() != 2 {
			t.Errorf("%v after the answer, %d questions", got, store.asked.Load())
		}
		store.fail.Store(true)
		<-time.After(500 * time.Millisecond)
		if got := effect(t, b); got != acl.Allow {
			t.Errorf("%v while questions fail", got)
		}
		synctest.Wait()
		<-time.After(500 * time.Millisecond)
		if _, err := b.Rules(t.Context(), "b"); err == nil {
			t.Error("rules that could not be confirmed for a second are given")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestForgetBeatsAnswers: an answer that was under way when the rules were changed is not kept.
func TestForgetBeatsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newCounted(t)
		store.setPolicy(t, "Allow")
		store.slow = make(chan struct{})
		b := iam.NewBuckets(store)
		done := make(chan acl.Effect)
		go func() { done <- effect(t, b) }()
		synctest.Wait() // the answer is on its way
		store.setPolicy(t, "Deny")
		b.Forget("b")
		close(store.slow)
		<-done
		if got := effect(t, b); got != acl.Deny {
			t.Errorf("%v after the change", got)
		}
	})
}

func TestBucketRulesOf(t *testing.T) {
	store := newCounted(t)
	b := iam.NewBuckets(store)
	if r, err := b.Rules(t.Context(), "none"); err != nil || !r.Missing {
		t.Errorf("a bucket that does not exist: %+v, %v", r, err)
	}
	r, err := b.Rules(t.Context(), "b")
	if err != nil || !r.Block.Restrict || !r.Block.BlockPolicy || r.Public || r.Missing {
		t.Errorf("a new bucket: %+v, %v", r, err)
	}
	for name, text := range map[string]string{api.ConfigPublicAccess: iam.RemovedDocument, api.ConfigPolicy: "unreadable"} {
		if err := store.SetConfiguration(t.Context(), &api.SetConfiguration{Bucket: "b", Name: name, Document: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	b.Forget("b")
	if r, err = b.Rules(t.Context(), "b"); err != nil || r.Block.Restrict || r.Block.BlockPolicy {
		t.Errorf("the block was removed: %+v, %v", r, err)
	}
	if effect(t, b) != acl.Deny {
		t.Error("a policy that cannot be read does not deny")
	}
}

// BenchmarkAuthorize decides as a gateway does, with 10,000 users and 1,000 policies.
func BenchmarkAuthorize(b *testing.B) {
	people := new(apitest.Identities)
	for i := range 1000 {
		doc := `{"Version":"2012-10-17","Statement":[`
		for j := range 50 {
			doc += fmt.Sprintf(`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::bucket-%d-%d/${aws:username}/*"},`, i, j)
		}
		doc += `{"Effect":"Allow","Action":"s3:ListBucket","Resource":"*","Condition":{"StringLike":{"s3:prefix":"${aws:username}/*"}}}]}`
		if err := people.ChangeIdentity(b.Context(), api.IdentityChange{Kind: api.KindPolicy, Name: fmt.Sprint("p", i), Do: api.DoCreate, Document: doc}); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 10_000 {
		name := fmt.Sprint("u", i)
		people.ChangeIdentity(b.Context(), api.IdentityChange{Kind: api.KindUser, Name: name, Do: api.DoCreate})
		for j := range 3 {
			people.ChangeIdentity(b.Context(), api.IdentityChange{Kind: api.KindUser, Name: name, Do: api.DoAttach, Policy: fmt.Sprint("p", (i+j)%1000)})
		}
	}
	s := iam.New(iam.Config{Credentials: people, Identities: people, Limit: time.Hour, Patience: time.Minute})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if _, err := s.Caller(b.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: "user:u0"}); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n = (n + 7919) % 10_000
		name := fmt.Sprint("u", n)
		c, err := s.Caller(b.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: "user:" + name})
		if err != nil {
			b.Fatal(err)
		}
		r := acl.Request{Action: "s3:GetObject", Resource: fmt.Sprintf("arn:aws:s3:::bucket-%d-49/%s/x", (n+2)%1000, name)}
		r.SetPrincipal(&c.Principal)
		r.SetTime(time.Now())
		if d := acl.Evaluate(&r, &acl.Rules{Identity: c.Identity}); !d.Allowed {
			b.Fatal(d)
		}
	}
	cancel()
	<-done
}
