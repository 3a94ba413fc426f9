package s3op

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"shoal/gateway/audit"
	"shoal/node/api"
)

// ActLog records acts. *audit.Log is one.
type ActLog interface {
	// Begin gives an act its intent's ID and records the intent. When it fails, the act must not be asked for.
	Begin(a *audit.Act, request string) error
	// Append adds the outcome.
	Append(audit.Entry) error
}

// intending gives a call stores that record what is intended before they are asked for the first change.
func (c *call) intending(intend func(context.Context) error) {
	c.intend = intend
	s := *c.Service
	s.Buckets, s.Objects, s.Versions = &intendBuckets{s.Buckets, intend}, &intendObjects{s.Objects, intend}, &intendVersions{s.Versions, intend}
	c.Service = &s
}

// changeRules changes a document of the bucket by what it has, as iam.Buckets.Change does. What is intended is recorded before.
func (c *call) changeRules(ctx context.Context, name string, change func(*api.Configuration) ([]byte, error)) error {
	return c.Rules.Change(ctx, c.Bucket, name, func(conf *api.Configuration) ([]byte, error) {
		doc, err := change(conf)
		if err == nil && c.intend != nil {
			err = c.intend(ctx)
		}
		return doc, err
	})
}

type intendBuckets struct {
	api.Buckets
	intend func(context.Context) error
}

// CreateBucket implements api.Buckets.
func (b *intendBuckets) CreateBucket(ctx context.Context, req api.CreateBucket) (api.BucketInfo, error) {
	if err := b.intend(ctx); err != nil {
		return api.BucketInfo{}, err
	}
	return b.Buckets.CreateBucket(ctx, req)
}

// DeleteBucket implements api.Buckets.
func (b *intendBuckets) DeleteBucket(ctx context.Context, name string) error {
	if err := b.intend(ctx); err != nil {
		return err
	}
	return b.Buckets.DeleteBucket(ctx, name)
}

// SetConfiguration implements api.Buckets.
func (b *intendBuckets) SetConfiguration(ctx context.Context, req *api.SetConfiguration) error {
	if err := b.intend(ctx); err != nil {
		return err
	}
	return b.Buckets.SetConfiguration(ctx, req)
}

type intendObjects struct {
	api.Objects
	intend func(context.Context) error
}

// Delete implements api.Objects.
func (o *intendObjects) Delete(ctx context.Context, req *api.DeleteObject) (api.Deleted, error) {
	if err := o.intend(ctx); err != nil {
		return api.Deleted{}, err
	}
	return o.Objects.Delete(ctx, req)
}

// DeleteMany implements api.Objects.
func (o *intendObjects) DeleteMany(ctx context.Context, bucket string, items []api.DeleteItem) ([]api.Deleted, error) {
	if err := o.intend(ctx); err != nil {
		return nil, err
	}
	return o.Objects.DeleteMany(ctx, bucket, items)
}

type intendVersions struct {
	api.Versions
	intend func(context.Context) error
}

// SetVersioning implements api.Versions.
func (v *intendVersions) SetVersioning(ctx context.Context, bucket string, state api.VersioningState) error {
	if err := v.intend(ctx); err != nil {
		return err
	}
	return v.Versions.SetVersioning(ctx, bucket, state)
}

// SetObjectLock implements api.Versions.
func (v *intendVersions) SetObjectLock(ctx context.Context, bucket string, def api.DefaultRetention) error {
	if err := v.intend(ctx); err != nil {
		return err
	}
	return v.Versions.SetObjectLock(ctx, bucket, def)
}

// SetACL implements api.Versions.
func (v *intendVersions) SetACL(ctx context.Context, ref *api.ObjectRef, acl []byte) (string, error) {
	if err := v.intend(ctx); err != nil {
		return "", err
	}
	return v.Versions.SetACL(ctx, ref, acl)
}

// SetRetention implements api.Versions.
func (v *intendVersions) SetRetention(ctx context.Context, req *api.SetRetention) error {
	if err := v.intend(ctx); err != nil {
		return err
	}
	return v.Versions.SetRetention(ctx, req)
}

// SetLegalHold implements api.Versions.
func (v *intendVersions) SetLegalHold(ctx context.Context, ref *api.ObjectRef, on bool) error {
	if err := v.intend(ctx); err != nil {
		return err
	}
	return v.Versions.SetLegalHold(ctx, ref, on)
}

// StateNow is the state that an act of an operation is about, as it is now. ok is false when there is no operation of the name
// that is an act.
func (s *Service) StateNow(ctx context.Context, a *audit.Act) (state string, ok bool) {
	kind, ok := acts[a.Operation]
	if !ok {
		return "", false
	}
	r := &Request{HTTP: &http.Request{Header: make(http.Header)}}
	r.Bucket, r.Key, _ = strings.Cut(a.Target, "/")
	if a.VersionID != "" {
		r.Query, _ = ParseQuery("versionId=" + url.QueryEscape(a.VersionID))
	}
	c := &call{Service: s, Request: r}
	return c.look(ctx, &kind), true
}
