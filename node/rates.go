package node

import (
	"context"
	"time"

	"shoal/node/api"
	"shoal/node/controller"
	"shoal/node/meta"
)

const (
	// ratesEvery is how often a node asks for the settings that its workers follow.
	ratesEvery = 10 * time.Second
	// busyFor is for how long after a request of a client the node counts as busy.
	busyFor = 2 * time.Second
)

// followRates keeps up to date at which rate the operator lets this node move what is stored, and what all of it is to survive.
func (n *Node) followRates(ctx context.Context) error {
	t := time.NewTicker(ratesEvery)
	defer t.Stop()
	for {
		if err := n.readRates(ctx); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Debug("the settings are as they were", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-n.settingsChanged:
		}
	}
}

func (n *Node) readRates(ctx context.Context) error {
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Dynamic{Dynamic: &meta.DynamicQuery{}}})
	if err != nil {
		return err
	}
	var rate int64
	if text := a.GetDynamic().GetValues()[api.SettingMoveRate]; text != "" {
		if rate, err = api.ParseMoveRate(text); err != nil {
			return err
		}
	}
	n.moveRate.Store(rate)
	survives := a.GetDynamic().GetValues()[api.SettingSurvives]
	if old := n.survives.Swap(&survives); (old == nil && survives != "") || (old != nil && *old != survives) {
		n.repair.Recount() // what was counted was held against another promise
	}
	return nil
}

// promised gives the loss of how many nodes, and of how many sites, all stripes are to survive.
func (n *Node) promised() (nodes, sites int) {
	survives := ""
	if s := n.survives.Load(); s != nil {
		survives = *s
	}
	switch survives {
	case controller.SurvivesNothing:
		return 0, 0
	case controller.SurvivesTwoNodes:
		return 2, 0
	case controller.SurvivesSite:
		return 1, 1
	}
	return 1, 0
}

// busy tells whether clients are being served: their requests for what this node's groups keep came a moment ago.
func (n *Node) busy() bool { return n.server.Idle() < busyFor }
