package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

const (
	orderTimeout  = 30 * time.Second // for all groups to take an order, or to say which they hold to
	orderParallel = 64               // groups that are asked at once
	behindNamed   = 20               // groups that an error names
)

// ReadOnlyStatus implements api.ReadOnlySwitch.
func (c *Client) ReadOnlyStatus(ctx context.Context) (api.ReadOnlyStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	a, err := c.query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_ReadOnly{ReadOnly: &meta.ReadOnlyQuery{Max: 1}}})
	if err != nil {
		return api.ReadOnlyStatus{}, err
	}
	order := a.GetReadOnly().GetOrder()
	groups, err := c.bucketGroups(ctx)
	if err != nil {
		return api.ReadOnlyStatus{}, err
	}
	answers := inGroups(groups, func(g consensus.GroupID) ([]uint64, error) { return c.groupReadOnly(ctx, g, order) })
	s := readOnlyStatus(order, answers)
	for i := range answers {
		for _, id := range answers[i].value {
			ro, err := c.readOnlyBucket(ctx, id)
			if err != nil {
				return s, err
			}
			if ro.On {
				s.Buckets = append(s.Buckets, ro)
			}
		}
	}
	slices.SortFunc(s.Buckets, func(a, b api.BucketReadOnly) int { return cmp.Compare(a.Bucket, b.Bucket) })
	return s, nil
}

// SetReadOnly implements api.ReadOnlySwitch. The system group numbers the order, and then each group that keeps
// buckets is given it. A bucket that is made meanwhile is in a group that has it: no bucket is made once the system
// group holds to the order.
func (c *Client) SetReadOnly(ctx context.Context, on bool, reason string) (api.ReadOnlyStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	res, err := c.giveOrder(ctx, consensus.SystemGroup, &meta.ReadOnly{On: on, Reason: reason})
	if err != nil {
		return api.ReadOnlyStatus{}, err
	}
	order := res.GetReadOnly()
	groups, err := c.bucketGroups(ctx)
	if err != nil {
		return api.ReadOnlyStatus{}, &api.Error{
			Kind: api.Unavailable, Op: "client.SetReadOnly", Err: err,
			Detail: "The order is noted, but it is not known which groups of metadata there are: it may be in force in none. Give it once more.",
		}
	}
	answers := inGroups(groups, func(g consensus.GroupID) (struct{}, error) {
		_, err := c.giveOrder(ctx, g, order)
		return struct{}{}, err
	})
	s := readOnlyStatus(order, answers)
	for i := range answers {
		if api.KindOf(answers[i].err) == api.OperationAborted {
			return s, answers[i].err
		}
	}
	if len(s.Behind) > 0 {
		err = partly(&s, answers)
	}
	return s, err
}

func (c *Client) giveOrder(ctx context.Context, g consensus.GroupID, order *meta.ReadOnly) (*meta.Result, error) {
	return c.propose(ctx, g, "client.SetReadOnly", &meta.Command{Op: &meta.Command_SetReadOnly{SetReadOnly: &meta.SetReadOnly{Order: order}}})
}

// partly is the error of an order that is not known to be in force everywhere.
func partly(s *api.ReadOnlyStatus, answers []groupAnswer[struct{}]) error {
	names := make([]string, 0, behindNamed)
	for _, g := range s.Behind[:min(len(s.Behind), behindNamed)] {
		names = append(names, fmt.Sprint(g))
	}
	list := strings.Join(names, ", ")
	if more := len(s.Behind) - len(names); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	what, risk := "read-only", "may still take writes"
	if !s.On {
		what, risk = "open for writes again", "may still refuse them"
	}
	e := &api.Error{Kind: api.Unavailable, Op: "client.SetReadOnly", Detail: fmt.Sprintf(
		"The order stands, and %d of %d groups of metadata are %s. Not known to have it: %s; buckets there %s. Give the same order once more, with the same reason, to reach them.",
		s.InForce, s.Groups, what, list, risk)}
	for i := range answers {
		if answers[i].err != nil {
			e.Err = answers[i].err
			break
		}
	}
	return e
}

// groupReadOnly gives the buckets of a group that are read-only by themselves. It is an error when the group does not
// hold to the order.
func (c *Client) groupReadOnly(ctx context.Context, g consensus.GroupID, order *meta.ReadOnly) (ids []uint64, err error) {
	q := &meta.ReadOnlyQuery{}
	for {
		a, err := c.query(ctx, g, &meta.Query{Q: &meta.Query_ReadOnly{ReadOnly: q}})
		if err != nil {
			return ids, err
		}
		if have := a.GetReadOnly().GetOrder(); have.GetOn() != order.GetOn() || order.GetOn() && have.GetEpoch() != order.GetEpoch() {
			err = &api.Error{Kind: api.Unavailable, Op: "client.ReadOnlyStatus", Detail: "The group holds to another order."}
		}
		page := a.GetReadOnly().GetBuckets()
		if ids = append(ids, page...); !a.GetReadOnly().GetTruncated() || len(page) == 0 {
			return ids, err
		}
		q.After = page[len(page)-1]
	}
}

// bucketGroups are the groups that may keep buckets: those of all sites, and those founded for one.
func (c *Client) bucketGroups(ctx context.Context) ([]consensus.GroupID, error) {
	l, err := c.getLayout(ctx)
	if err != nil {
		return nil, err
	}
	a, err := c.query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Groups{Groups: &meta.GroupsQuery{}}})
	if err != nil {
		return nil, err
	}
	var groups []consensus.GroupID
	for g := range l.Partitions {
		groups = append(groups, consensus.GroupID(g+1))
	}
	for _, p := range a.GetGroups().GetPlaces() {
		if p.GetFounded() {
			groups = append(groups, consensus.GroupID(p.GetGroup()))
		}
	}
	return groups, nil
}

// groupAnswer is what came of one group.
type groupAnswer[T any] struct {
	group consensus.GroupID
	value T
	err   error
}

// inGroups calls f for each group, for at most orderParallel at once, and gives the answers in their order.
func inGroups[T any](groups []consensus.GroupID, f func(consensus.GroupID) (T, error)) []groupAnswer[T] {
	out := make([]groupAnswer[T], len(groups))
	done, slots := make(chan struct{}), make(chan struct{}, orderParallel)
	for i, g := range groups {
		go func() {
			slots <- struct{}{}
			v, err := f(g)
			<-slots
			out[i] = groupAnswer[T]{g, v, err}
			done <- struct{}{}
		}()
	}
	for range groups {
		<-done
	}
	return out
}

func readOnlyStatus[T any](order *meta.ReadOnly, answers []groupAnswer[T]) api.ReadOnlyStatus {
	s := api.ReadOnlyStatus{
		ReadOnlyOrder: api.ReadOnlyOrder{On: order.GetOn(), Reason: order.GetReason()},
		Groups:        len(answers),
	}
	if order.GetEpoch() != 0 {
		s.Since = time.Unix(0, order.GetSince()).UTC()
	}
	for i := range answers {
		if answers[i].err != nil {
			s.Behind = append(s.Behind, uint32(answers[i].group))
			continue
		}
		s.InForce++
	}
	return s
}

// readOnlyBucket describes a bucket that a group says is read-only; off when it is gone meanwhile.
func (c *Client) readOnlyBucket(ctx context.Context, id uint64) (api.BucketReadOnly, error) {
	a, err := c.query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Bucket{Bucket: &meta.BucketQuery{Id: id}}})
	var ro api.BucketReadOnly
	if err == nil {
		ro, err = c.BucketReadOnly(ctx, a.GetBucket().GetName())
	}
	if api.KindOf(err) == api.NoSuchBucket {
		return api.BucketReadOnly{}, nil
	}
	return ro, err
}

// BucketReadOnly implements api.ReadOnlySwitch.
func (c *Client) BucketReadOnly(ctx context.Context, bucket string) (api.BucketReadOnly, error) {
	ro := api.BucketReadOnly{Bucket: bucket}
	conf, err := c.Configuration(ctx, bucket, 0)
	if err == nil {
		ro.ReadOnlyOrder, err = api.ParseReadOnly(conf.Documents[api.ConfigReadOnly])
	}
	return ro, err
}

// SetBucketReadOnly implements api.ReadOnlySwitch.
func (c *Client) SetBucketReadOnly(ctx context.Context, bucket string, on bool, reason string) (api.BucketReadOnly, error) {
	ro := api.BucketReadOnly{Bucket: bucket}
	if on {
		ro.ReadOnlyOrder = api.ReadOnlyOrder{On: true, Reason: reason, Since: time.Now().UTC()}
	}
	return ro, c.SetConfiguration(ctx, &api.SetConfiguration{Bucket: bucket, Name: api.ConfigReadOnly, Document: api.AppendReadOnly(nil, ro.ReadOnlyOrder)})
}
