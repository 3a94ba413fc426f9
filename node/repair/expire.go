package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
)

// Expirable is the store as lifecycle rules are carried out in it.
type Expirable interface {
	// Places gives the names of all buckets by the groups that keep them.
	Places(ctx context.Context) (map[consensus.GroupID][]string, error)
	Configuration(ctx context.Context, bucket string, epoch uint64) (*api.Configuration, error)
	List(ctx context.Context, req *api.ListObjects) (*api.ListPage, error)
	Versioning(ctx context.Context, bucket string) (api.BucketVersioning, error)
	ListVersions(ctx context.Context, req *api.ListVersions) (*api.VersionPage, error)
	DeleteMany(ctx context.Context, bucket string, items []api.DeleteItem) ([]api.Deleted, error)
	ListUploads(ctx context.Context, req *api.ListUploads) (*api.UploadPage, error)
	AbortUpload(ctx context.Context, ref api.UploadRef) error
	// Transition is that of node/client.
	Transition(ctx context.Context, bucket string, class api.StorageClass, items []api.TransitionItem) ([]error, error)
}

const (
	// expireEvery is the pause between two looks for what has changed in the groups led here.
	expireEvery = 30 * time.Second
	// expireBatch is how many versions one command removes or gives another class: others wait behind it.
	expireBatch = 250
	// expireHold is for how long what was found due may wait for more of it: its tags may change meanwhile.
	expireHold = 5 * time.Second
	// expireRest is how many times as long as a page or a command took the worker then rests, so that it takes a fifth of one processor and of
	// the group's time at most, and less the busier the node is.
	expireRest = 4
	day        = 24 * time.Hour
)

// expirer carries out the lifecycle rules of buckets whose groups are led here. All that S3 counts in
// days happens at midnight, UTC, so a bucket is looked through once a day, and when its rules change.
type expirer struct {
	c       Expirable
	leads   func() []consensus.GroupID
	applied func(consensus.GroupID) uint64
	now     func() time.Time
	log     *slog.Logger
	worker  *Worker
	met     *metrics
	// recode is told when versions of a group have got another storage class.
	recode func(consensus.GroupID)

	looked map[consensus.GroupID]look
	passed map[string]pass

	transitioned int // versions, since the start
}

// look is when the buckets of a group were last asked for their rules.
type look struct {
	applied uint64
	day     time.Time
}

// pass is when a bucket was last looked through to its end.
type pass struct {
	epoch uint64
	day   time.Time
}

// cycle looks at the groups that have moved since the last one, or in which a day has begun.
func (e *expirer) cycle(ctx context.Context) error {
	if e.c == nil {
		return nil
	}
	today := e.now().UTC().Truncate(day)
	looked := make(map[consensus.GroupID]look)
	due := make(map[consensus.GroupID]look)
	for _, g := range e.leads() {
		if g == consensus.SystemGroup {
			continue
		}
		l := look{day: today}
		if e.applied != nil {
			l.applied = e.applied(g)
		}
		if l.applied != 0 && e.looked[g] == l {
			looked[g] = l
		} else {
			due[g] = l
		}
	}
	e.looked = looked
	if len(due) == 0 {
		return nil
	}
	places, err := e.c.Places(ctx)
	if err != nil {
		return err
	}
	passed := make(map[string]pass)
	var errs []error
	for g, names := range places {
		if _, ok := due[g]; !ok { // what is known of buckets led elsewhere is of no use
			if _, rests := looked[g]; rests {
				keep(passed, e.passed, names)
			}
			continue
		}
		was := e.transitioned
		err := e.group(ctx, names, today, passed)
		if e.transitioned > was {
			e.recode(g)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("group %d: %w", g, err))
			continue
		}
		looked[g] = due[g]
	}
	e.passed = passed
	return errors.Join(errs...)
}

func keep(to, from map[string]pass, names []string) {
	for _, name := range names {
		if p, ok := from[name]; ok {
			to[name] = p
		}
	}
}

// group looks at the buckets of one group.
func (e *expirer) group(ctx context.Context, names []string, today time.Time, passed map[string]pass) error {
	var errs []error
	for _, name := range names {
		conf, err := e.c.Configuration(ctx, name, 0)
		if err != nil {
			if api.KindOf(err) != api.NoSuchBucket {
				errs = append(errs, err)
			}
			continue
		}
		doc := conf.Documents[api.ConfigLifecycle]
		if len(doc) == 0 {
			continue
		}
		p := pass{conf.Epoch, today}
		if e.passed[name] != p {
			err := e.bucket(ctx, name, doc)
			if api.KindOf(err) == api.ReadOnly {
				continue // until what ends that moves the group on
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("bucket %s: %w", name, err))
				continue
			}
		}
		passed[name] = p
	}
	return errors.Join(errs...)
}

// bucket carries out all rules of one bucket.
func (e *expirer) bucket(ctx context.Context, name string, doc []byte) error {
	rules, err := api.ParseLifecycle(doc)
	if err != nil {
		return err
	}
	e.worker.begin(0)
	expires := func(r *api.LifecycleRule) bool {
		return r.ExpireDays > 0 || !r.ExpireDate.IsZero() || r.Transition != nil
	}
	for _, prefix := range prefixes(rules, expires) {
		if err := e.objects(ctx, name, prefix, rules); err != nil {
			return err
		}
	}
	for _, prefix := range prefixes(rules, func(r *api.LifecycleRule) bool { return r.AbortDays > 0 }) {
		if err := e.uploads(ctx, name, prefix, rules); err != nil {
			return err
		}
	}
	return e.history(ctx, name, rules)
}

// history carries out what rules say of a bucket's older versions.
func (e *expirer) history(ctx context.Context, name string, rules []api.LifecycleRule) error {
	below := prefixes(rules, func(r *api.LifecycleRule) bool {
		return r.NoncurrentDays > 0 || r.NoncurrentTransition != nil || r.ExpireMarkers || r.ExpireDays > 0
	})
	if len(below) == 0 {
		return nil
	}
	versioning, err := e.c.Versioning(ctx, name)
	if err != nil || versioning.State == api.Unversioned {
		return gone(err)
	}
	for _, prefix := range below {
		if err := e.versions(ctx, name, prefix, rules); err != nil {
			return err
		}
	}
	return nil
}

// prefixes are those under which all keys lie that enabled rules of a kind are for. None begins with
// another.
func prefixes(rules []api.LifecycleRule, of func(*api.LifecycleRule) bool) []string {
	all := make(map[string]bool)
	for i := range rules {
		if !rules[i].Disabled && of(&rules[i]) {
			all[rules[i].Prefix] = true
		}
	}
	var out []string
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if len(out) == 0 || !strings.HasPrefix(p, out[len(out)-1]) {
			out = append(out, p)
		}
	}
	return out
}

// objects removes the current versions below a prefix whose time has come, and gives others their class.
// Each goes only as it was listed: one that was written over meanwhile stays.
func (e *expirer) objects(ctx context.Context, bucket, prefix string, rules []api.LifecycleRule) error {
	req := &api.ListObjects{Bucket: bucket, Prefix: prefix, Max: api.MaxListObjects, Tags: tagged(rules)}
	todo := &batch{e: e, bucket: bucket}
	for {
		page, err := paced(ctx, e, func() (*api.ListPage, error) { return e.c.List(ctx, req) })
		if err != nil {
			return gone(err)
		}
		for i := range page.Objects {
			o := &page.Objects[i]
			s := api.Subject{Key: o.Key, Size: o.Size, Modified: o.LastModified, Tags: o.Tags, Class: o.Class}
			switch { // what is to be removed gets no other class first
			case fits(&s, rules, func(r *api.LifecycleRule) bool { return e.due(r.Expires(&s)) }):
				todo.add(api.DeleteItem{Key: o.Key, If: api.Condition{IfMatch: o.ETag}, IfSize: &o.Size, IfModified: &o.LastModified})
			case fits(&s, rules, func(r *api.LifecycleRule) bool { return e.due(r.Transits(&s)) }):
				todo.addTransit(api.TransitionItem{Key: o.Key, Modified: o.LastModified})
			}
			if err := todo.flush(ctx, expireBatch); err != nil {
				return gone(err)
			}
		}
		e.worker.progress(int64(len(page.Objects)))
		if !page.Truncated {
			return gone(todo.flush(ctx, 1))
		}
		req.After = page.Next
	}
}

// due says that a time has come, if it ever does.
func (e *expirer) due(at time.Time, ever bool) bool { return ever && !at.After(e.now()) }

// paced does one piece of work, and then gives way to others.
func paced[T any](ctx context.Context, e *expirer, piece func() (T, error)) (T, error) {
	begun := time.Now()
	done, err := piece()
	if err != nil {
		return done, err
	}
	e.worker.throttled(true)
	defer e.worker.throttled(false)
	t := time.NewTimer(expireRest * time.Since(begun))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return done, ctx.Err()
}

// batch is what is to be done to versions of a bucket.
type batch struct {
	e       *expirer
	bucket  string
	remove  []api.DeleteItem
	transit []api.TransitionItem
	since   time.Time // the first of both was found
}

func (b *batch) add(item api.DeleteItem) {
	b.began()
	b.remove = append(b.remove, item)
}

func (b *batch) addTransit(item api.TransitionItem) {
	b.began()
	b.transit = append(b.transit, item)
}

func (b *batch) began() {
	if len(b.remove)+len(b.transit) == 0 {
		b.since = b.e.now()
	}
}

// flush does what there is, if it is as much of either kind as least or has waited for long.
func (b *batch) flush(ctx context.Context, least int) error {
	removes, transits := len(b.remove), len(b.transit)
	if max(removes, transits) < least && (removes+transits == 0 || b.e.now().Sub(b.since) < expireHold) {
		return nil
	}
	if removes > 0 {
		if err := b.e.remove(ctx, b.bucket, b.remove); err != nil {
			return err
		}
		b.remove = b.remove[:0]
	}
	if transits > 0 {
		if err := b.e.transit(ctx, b.bucket, b.transit); err != nil {
			return err
		}
		b.transit = b.transit[:0]
	}
	return nil
}

// tagged says that tags decide whether an enabled rule is for a version.
func tagged(rules []api.LifecycleRule) bool {
	return slices.ContainsFunc(rules, func(r api.LifecycleRule) bool { return !r.Disabled && len(r.Tags) > 0 })
}

// fits says whether an enabled rule that is due is for a version.
func fits(s *api.Subject, rules []api.LifecycleRule, due func(*api.LifecycleRule) bool) bool {
	for i := range rules {
		if r := &rules[i]; r.Fits(s) && due(r) {
			return true
		}
	}
	return false
}

// gone makes nothing of a bucket that is not there any more.
func gone(err error) error {
	if err != nil && api.KindOf(err) == api.NoSuchBucket {
		return nil
	}
	return err
}

// transit gives what was listed the one class that rules lead to. What has changed since stays as it is, and
// is no error.
func (e *expirer) transit(ctx context.Context, bucket string, items []api.TransitionItem) error {
	done, err := paced(ctx, e, func() ([]error, error) { return e.c.Transition(ctx, bucket, api.ReducedRedundancy, items) })
	if err != nil {
		return err
	}
	for _, err := range done {
		switch {
		case err == nil:
			e.transitioned++
			e.met.transitioned.Inc()
		case !changed(err):
			return err
		}
	}
	return nil
}

// changed says that a version is not what it was listed as, or is locked.
func changed(err error) bool {
	switch api.KindOf(err) {
	case api.PreconditionFailed, api.NoSuchKey, api.NoSuchVersion, api.DeleteMarker, api.AccessDenied:
		return true
	}
	return false
}

// remove removes what was listed. What has changed since stays, and is no error.
func (e *expirer) remove(ctx context.Context, bucket string, items []api.DeleteItem) error {
	done, err := paced(ctx, e, func() ([]api.Deleted, error) { return e.c.DeleteMany(ctx, bucket, items) })
	if err != nil {
		return err
	}
	for i := range done {
		switch err := done[i].Err; {
		case err == nil:
			e.met.expired.Inc()
		case !changed(err):
			return err
		}
	}
	return nil
}

// uploads ends uploads below a prefix that were begun long ago.
func (e *expirer) uploads(ctx context.Context, bucket, prefix string, rules []api.LifecycleRule) error {
	req := &api.ListUploads{Bucket: bucket, Prefix: prefix, Max: api.MaxListObjects}
	for {
		page, err := e.c.ListUploads(ctx, req)
		if err != nil {
			return gone(err)
		}
		for i := range page.Uploads {
			u := &page.Uploads[i]
			if !e.overdue(u, rules) {
				continue
			}
			err := e.c.AbortUpload(ctx, api.UploadRef{Bucket: bucket, Key: u.Key, UploadID: u.UploadID})
			if err != nil && api.KindOf(err) != api.NoSuchUpload {
				return gone(err)
			}
			if err == nil {
				e.met.aborted.Inc()
			}
		}
		e.worker.progress(int64(len(page.Uploads)))
		if !page.Truncated {
			return nil
		}
		req.AfterKey, req.AfterUpload = page.NextKey, page.NextUpload
	}
}

func (e *expirer) overdue(u *api.UploadInfo, rules []api.LifecycleRule) bool {
	for i := range rules {
		r := &rules[i]
		if r.AbortDays > 0 && r.Fits(&api.Subject{Key: u.Key}) && !api.DaysLater(u.Initiated, r.AbortDays).After(e.now()) {
			return true
		}
	}
	return false
}
