package client

import (
	"context"
	"errors"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
)

// propose runs a command on a group and gives its result; a refusal is the error. The command is
// repeated while its outcome is not known, under one request ID: it takes effect at most once.
func (c *Client) propose(ctx context.Context, g consensus.GroupID, op string, cmd *meta.Command) (*meta.Result, error) {
	if !repeatable(cmd) && len(cmd.RequestId) == 0 {
		id := newVersionID()
		cmd.RequestId = id[:]
	}
	var res *meta.Result
	lost := false // an earlier attempt may have had its effect
	err := c.router.propose(ctx, g, func(ctx context.Context, n peer.Node) (err error) {
		res, err = n.Propose(ctx, g, cmd)
		var other *peer.NotLeaderError
		lost = lost || err != nil && !errors.As(err, &other)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err = res.Err(op); err != nil && lost && namesItself(cmd) {
		// The refusal is for the repeat. The first attempt may still be on its way.
		return nil, &api.Error{Kind: api.OutcomeUnknown, Op: op, Err: err}
	}
	return res, err
}

// repeatable tells whether a command changes nothing, and answers the same, when it comes again:
// such a one needs no memory of its result.
func repeatable(cmd *meta.Command) bool {
	switch cmd.Op.(type) {
	case *meta.Command_Condemn, *meta.Command_GarbageDone, *meta.Command_NoteKeyUses, *meta.Command_SetCursor:
		return true
	}
	return namesItself(cmd)
}

// namesItself tells whether a command makes a version with shards. The group answers a repeat as it did
// the first time, by the version or, once that is gone, by what is left of its owner. That spares a
// record of the result for every write.
func namesItself(cmd *meta.Command) bool { return len(cmd.GetPutVersion().GetManifest()) > 0 }

func (c *Client) query(ctx context.Context, g consensus.GroupID, q *meta.Query) (*meta.Answer, error) {
	var a *meta.Answer
	err := c.router.query(ctx, g, func(ctx context.Context, n peer.Node) (err error) {
		a, err = n.Query(ctx, g, q)
		return err
	})
	return a, err
}
