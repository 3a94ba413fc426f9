package iam

import (
	"context"
	"strings"
	"sync"
	"time"

	"shoal/acl"
	"shoal/acl/grant"
	"shoal/acl/policy"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// RemovedDocument stands for a public access block that was removed, where nothing stands for the one that a
// new bucket has: no XML document is like it.
const RemovedDocument = "-"

const (
	rulesSoon  = 250 * time.Millisecond // after which they are asked for anew
	rulesLimit = time.Second            // after which requests wait for that
	rulesMax   = 10_000                 // buckets
	rulesAsked = 8                      // buckets that Run asks for at once
)

// BucketRules is what a bucket says of who may do what.
type BucketRules struct {
	// Missing: there is no such bucket.
	Missing bool
	// Policy is nil for none.
	Policy acl.Policy
	// Public says that the policy allows something to everybody.
	Public bool
	Block  s3xml.PublicAccess
	// ACLs says that ACLs count.
	ACLs bool
	acl  acl.Policy // the bucket's, when ACLs count; nil for none
	// Keys are the condition keys of the bucket's tags, nil when it has none.
	Keys map[string][]string
}

// Buckets knows the rules of buckets. They are in force on every gateway within a second, and at once on
// that which changed them, if it calls Forget. Its methods may be called from any number of goroutines.
type Buckets struct {
	source api.Buckets
	due    chan dueRules // takes what Run can ask for at once

	mu     sync.Mutex // guards byName and the entries' fields but turn
	byName map[string]*bucketEntry
}

type bucketEntry struct {
	rules *BucketRules  // nil before the first answer
	at    time.Time     // when they were asked for
	turn  chan struct{} // holds a token while somebody asks
}

// dueRules are to be asked for, with the turn of their entry.
type dueRules struct {
	bucket string
	entry  *bucketEntry
}

// NewBuckets makes one. While Run does not run, requests ask themselves.
func NewBuckets(source api.Buckets) *Buckets {
	return &Buckets{source: source, due: make(chan dueRules), byName: make(map[string]*bucketEntry)}
}

// Run asks for rules that requests have found to be due and go on using, which would wait for a round trip to the bucket's
// metadata otherwise. It returns nil when ctx has ended.
func (b *Buckets) Run(ctx context.Context) error {
	var askers sync.WaitGroup
	for range rulesAsked {
		askers.Go(func() {
			for {
				select {
				case d := <-b.due:
					b.refresh(ctx, d)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	askers.Wait()
	return nil
}

// refresh asks in the turn of an entry. An error is met by the request that cannot do without an answer any more.
func (b *Buckets) refresh(ctx context.Context, d dueRules) {
	defer func() { <-d.entry.turn }()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, _ = b.ask(ctx, d.bucket, d.entry)
}

// Forget makes the next request ask for a bucket's rules.
func (b *Buckets) Forget(bucket string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byName, bucket)
}

// changeAttempts bounds how often a change begins anew.
const changeAttempts = 8

// Change stores a document of a bucket that follows from its configuration, which must not change meanwhile, and makes it
// count here at once. Errors of api.Buckets, and of follow.
func (b *Buckets) Change(ctx context.Context, bucket, name string, follow func(*api.Configuration) ([]byte, error)) error {
	var err error
	for range changeAttempts {
		conf, cerr := b.source.Configuration(ctx, bucket, 0)
		if cerr != nil {
			return cerr
		}
		doc, ferr := follow(conf)
		if ferr != nil {
			return ferr
		}
		if string(doc) == string(conf.Documents[name]) {
			return nil
		}
		err = b.source.SetConfiguration(ctx, &api.SetConfiguration{Bucket: bucket, Name: name, Document: doc, IfEpoch: &conf.Epoch})
		if err == nil || api.KindOf(err) != api.ConditionalConflict {
			break
		}
	}
	b.Forget(bucket)
	return err
}

// Rules gives the rules of a bucket.
func (b *Buckets) Rules(ctx context.Context, bucket string) (*BucketRules, error) {
	began := time.Now()
	e, rules, at := b.entry(bucket)
	age := began.Sub(at)
	if rules != nil && age < rulesSoon {
		return rules, nil
	}
	if rules != nil && age < rulesLimit {
		select {
		case e.turn <- struct{}{}:
		default:
			return rules, nil // somebody asks already
		}
		select {
		case b.due <- dueRules{bucket, e}:
			return rules, nil // Run has the turn now
		default:
		}
	} else {
		select {
		case e.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, &api.Error{Kind: api.Canceled, Op: "iam.Rules", Err: ctx.Err()}
		}
	}
	defer func() { <-e.turn }()
	if rules, at := b.known(e); rules != nil && began.Sub(at) < rulesSoon {
		return rules, nil // while this request waited for its turn
	}
	return b.ask(ctx, bucket, e)
}

func (b *Buckets) entry(bucket string) (*bucketEntry, *BucketRules, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.byName[bucket]
	if e == nil {
		if len(b.byName) >= rulesMax {
			clear(b.byName)
		}
		e = &bucketEntry{turn: make(chan struct{}, 1)}
		b.byName[bucket] = e
	}
	return e, e.rules, e.at
}

func (b *Buckets) known(e *bucketEntry) (*BucketRules, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.rules, e.at
}

// ask gets the rules. What is answered to an entry that was forgotten meanwhile serves this request alone,
// which began before.
func (b *Buckets) ask(ctx context.Context, bucket string, e *bucketEntry) (*BucketRules, error) {
	at := time.Now()
	c, err := b.source.Configuration(ctx, bucket, 0)
	rules := &BucketRules{}
	switch {
	case err == nil:
		rules = readRules(bucket, c)
	case api.KindOf(err) == api.NoSuchBucket:
		b.Forget(bucket) // who makes up names fills nothing
		return &BucketRules{Missing: true}, nil
	default:
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e.rules, e.at = rules, at
	return rules, nil
}

func readRules(bucket string, c *api.Configuration) *BucketRules {
	rules := &BucketRules{Block: ReadPublicAccess(c.Documents[api.ConfigPublicAccess])}
	if rules.ACLs = ReadOwnership(c.Documents[api.ConfigOwnership]) != OwnershipEnforced; rules.ACLs {
		if a, err := grant.Parse(c.Documents[api.ConfigACL]); err == nil { // what cannot be read allows nothing
			rules.acl = a.On(grant.Bucket, "of bucket "+bucket)
		}
	}
	rules.Keys = tagKeys(c.Documents[api.ConfigTagging])
	text := c.Documents[api.ConfigPolicy]
	if len(text) == 0 {
		return rules
	}
	p, err := policy.ParseBucket(bucket, text)
	if err != nil {
		rules.Policy = unreadable("of bucket " + bucket)
		return rules
	}
	rules.Policy, rules.Public = p, p.Public()
	return rules
}

// tagKeys are the condition keys of a bucket's tags, for what is asked of the bucket and of its objects (S3 User
// Guide, "Using tags for attribute-based access control").
func tagKeys(doc []byte) map[string][]string {
	tags, err := s3xml.ParseTagging(doc)
	if len(doc) == 0 || err != nil {
		return nil
	}
	keys := make(map[string][]string, 2*len(tags))
	for _, t := range tags {
		name, value := strings.ToLower(t.Key), []string{t.Value}
		keys["s3:buckettag/"+name], keys["aws:resourcetag/"+name] = value, value
	}
	return keys
}

// ReadPublicAccess reads a bucket's public access block. A new bucket has all of it, and so has one whose
// block cannot be read.
func ReadPublicAccess(doc []byte) s3xml.PublicAccess {
	if string(doc) == RemovedDocument {
		return s3xml.PublicAccess{}
	}
	a, err := s3xml.ParsePublicAccess(doc)
	if len(doc) == 0 || err != nil {
		return s3xml.PublicAccess{BlockACLs: true, IgnoreACLs: true, BlockPolicy: true, Restrict: true}
	}
	return a
}
