package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/node/api"
	"shoal/p2p"
	"shoal/p2p/member"
)

// An operator's questions go to nodes by name, with JSON both ways. What every node knows alike is
// asked of the first that answers: in a node's own process that is the node itself. What each node
// knows of itself is asked of all, and put together in reports.go.

const (
	// askTimeout bounds how long one node is waited for while others might answer.
	askTimeout = 5 * time.Second
	// askParallel bounds how many nodes are asked at a time.
	askParallel = 16
)

// ask asks nodes in turn until one answers. It changes nothing there.
func ask[T any](ctx context.Context, c *Client, what string, arg any) (T, error) {
	return inTurn[T](ctx, c, what, arg, askTimeout, func(kind api.Kind) bool {
		return kind == api.Unavailable || kind == api.NotImplemented || kind == api.OutcomeUnknown || kind == api.Canceled
	})
}

// act asks nodes in turn to do something, until one has done or refused it. A node that may have
// done it is the last that is asked.
func act[T any](ctx context.Context, c *Client, what string, arg any) (T, error) {
	return inTurn[T](ctx, c, what, arg, 0, func(kind api.Kind) bool { return kind == api.Unavailable || kind == api.NotImplemented })
}

// inTurn asks nodes in turn, each for at most timeout unless that is 0, as long as next says so of
// their errors.
func inTurn[T any](ctx context.Context, c *Client, what string, arg any, timeout time.Duration, next func(api.Kind) bool) (T, error) {
	var none T
	in, err := encodeArg(arg)
	if err != nil {
		return none, err
	}
	err = &api.Error{Kind: api.Unavailable, Op: "client.ask", Detail: "No node of the store is known."}
	for _, id := range c.dir.Nodes() {
		var out T
		if out, err = askNode[T](ctx, c, id, what, in, timeout); err == nil {
			return out, nil
		}
		if ctx.Err() != nil || !next(api.KindOf(err)) {
			break
		}
	}
	return none, err
}

func encodeArg(arg any) ([]byte, error) {
	if arg == nil {
		return nil, nil
	}
	return json.Marshal(arg)
}

func askNode[T any](ctx context.Context, c *Client, id p2p.NodeID, what string, arg []byte, timeout time.Duration) (out T, err error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	n := c.dir.Node(id)
	if n == nil {
		return out, &api.Error{Kind: api.Unavailable, Op: "client.ask", Detail: "The node is not known."}
	}
	text, err := n.Admin(ctx, what, arg)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return out, fmt.Errorf("decode the answer to %q: %w", what, err)
	}
	return out, nil
}

// answer is what one node said.
type answer[T any] struct {
	node  p2p.NodeID
	value T
	err   error
}

// askAll asks every node at once, each for at most askTimeout, and gives the answers in the order of
// Directory.Nodes. It fails only when no node answers.
func askAll[T any](ctx context.Context, c *Client, what string, arg any) ([]answer[T], error) {
	return each[T](ctx, c, what, arg, askTimeout)
}

// each asks every node at once, each for at most timeout unless that is 0.
func each[T any](ctx context.Context, c *Client, what string, arg any, timeout time.Duration) ([]answer[T], error) {
	in, err := encodeArg(arg)
	if err != nil {
		return nil, err
	}
	ids := c.dir.Nodes()
	out := make([]answer[T], len(ids))
	done, slots := make(chan struct{}), make(chan struct{}, askParallel)
	for i, id := range ids {
		go func() {
			slots <- struct{}{}
			v, err := askNode[T](ctx, c, id, what, in, timeout)
			<-slots
			out[i] = answer[T]{id, v, err}
			done <- struct{}{}
		}()
	}
	for range ids {
		<-done
	}
	err = &api.Error{Kind: api.Unavailable, Op: "client.ask", Detail: "No node of the store is known."}
	for i := range out {
		if out[i].err == nil {
			return out, nil
		}
		err = out[i].err
	}
	return nil, err
}

// silent lists the nodes that did not answer.
func silent[T any](answers []answer[T]) (ids []string) {
	for i := range answers {
		if answers[i].err != nil {
			ids = append(ids, string(answers[i].node))
		}
	}
	return ids
}

// Scrub implements api.Admin. It takes as long as the slowest node does.
func (c *Client) Scrub(ctx context.Context) (api.ScrubReport, error) {
	answers, err := each[api.ScrubReport](ctx, c, "scrub", nil, 0)
	if err != nil {
		return api.ScrubReport{}, err
	}
	return mergeScrubs(answers), nil
}

func mergeScrubs(answers []answer[api.ScrubReport]) api.ScrubReport {
	sum := api.ScrubReport{Silent: silent(answers)}
	for i := range answers {
		r := &answers[i].value
		sum.Shards += r.Shards
		sum.Bytes += r.Bytes
		sum.Corrupt += r.Corrupt
		sum.Missing += r.Missing
		sum.Healed += r.Healed
		sum.Unhealed += r.Unhealed
		sum.Unindexed += r.Unindexed
		if answers[i].err == nil {
			sum.Nodes++
		}
	}
	return sum
}

// Members implements api.Membership.
func (c *Client) Members(ctx context.Context) ([]api.Member, error) {
	members, err := c.memberRows(ctx)
	if err != nil || !slices.ContainsFunc(members, isDraining) {
		return members, err
	}
	if s, err := c.look(ctx); err == nil { // else they are draining, as far as is known
		for i := range members {
			if m := &members[i]; isDraining(*m) && s.waits(m) == "" {
				m.State = api.MemberDrained
			}
		}
	}
	return members, nil
}

// memberRows are the members as the member table has them.
func (c *Client) memberRows(ctx context.Context) ([]api.Member, error) {
	return ask[[]api.Member](ctx, c, "members", nil)
}

// Invite implements api.Membership.
func (c *Client) Invite(ctx context.Context, req api.Invite) (api.Invitation, error) {
	text, err := act[string](ctx, c, "invite", req)
	if err != nil {
		return api.Invitation{}, err
	}
	token, err := member.ParseToken(text)
	return api.Invitation{ID: token.ID.String(), Token: text}, err
}

// Allow implements api.Membership.
func (c *Client) Allow(ctx context.Context, req api.Allow) (api.Allowed, error) {
	return act[api.Allowed](ctx, c, "allow", req)
}

// SetMember implements api.Membership.
func (c *Client) SetMember(ctx context.Context, req api.MemberChange) error {
	_, err := act[struct{}](ctx, c, "set-member", req)
	return err
}

// RemoveDrive implements api.Membership.
func (c *Client) RemoveDrive(ctx context.Context, drive string) error {
	space, err := c.Space(ctx)
	if err != nil {
		return err
	}
	var found []api.DriveSpace
	for _, d := range space.Drives {
		if d.DriveID == drive || d.Path == drive || len(drive) >= api.DriveNameMin && strings.HasPrefix(d.DriveID, drive) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0:
		return api.Invalid("client.RemoveDrive", "No node that answers has such a drive: shoal admin space lists them.")
	case len(found) > 1:
		return api.Invalid("client.RemoveDrive", "Several drives are called so: give the drive's ID, or more of it.")
	}
	in, err := encodeArg(found[0].DriveID)
	if err != nil {
		return err
	}
	_, err = askNode[struct{}](ctx, c, p2p.NodeID(found[0].Node), "remove-drive", in, 0)
	return err
}

// Revoke implements api.Membership.
func (c *Client) Revoke(ctx context.Context, peerID string) (api.Revoked, error) {
	return act[api.Revoked](ctx, c, "revoke", peerID)
}

// Settings implements api.Tuning. Nodes know the values alone; a setting of a later release is
// listed without meaning.
func (c *Client) Settings(ctx context.Context) ([]api.Setting, error) {
	values, err := ask[map[string]string](ctx, c, "settings", nil)
	if err != nil {
		return nil, err
	}
	return mergeSettings(values), nil
}

// SetSetting implements api.Tuning.
func (c *Client) SetSetting(ctx context.Context, change api.SettingChange) error {
	if err := api.CheckSetting(change.Name, change.Value); err != nil {
		return err
	}
	what := "set-setting"
	if api.IsPeerRule(change.Name) {
		what = "set-peer-rule"
	}
	_, err := act[struct{}](ctx, c, what, change)
	return err
}

var (
	_ api.Buckets     = (*Client)(nil)
	_ api.Objects     = (*Client)(nil)
	_ api.Uploads     = (*Client)(nil)
	_ api.Credentials = (*Client)(nil)
	_ api.Health      = (*Client)(nil)
	_ api.Admin       = (*Client)(nil)
	_ api.Identities  = (*Client)(nil)
	_ api.KeyUses     = (*Client)(nil)
)
