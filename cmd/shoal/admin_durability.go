package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

const durabilityPath = "/admin/v1/durability"

func newDurabilityCommand(a *adminCommand) *cobra.Command {
	var whatIf string
	cmd := &cobra.Command{
		Use:   "durability",
		Short: "Show how many more losses what is stored survives",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			kind, name, ok := strings.Cut(whatIf, "=")
			switch {
			case whatIf == "":
				return ask(cmd.Context(), a, http.MethodGet, durabilityPath, nil, showDurability)
			case !ok || name == "" || kind != "site" && kind != "node":
				return &usageError{"--what-if is site=NAME or node=PEERID"}
			}
			return a.durabilityWithout(cmd.Context(), kind, name)
		},
	}
	cmd.Flags().StringVar(&whatIf, "what-if", "", "what is imagined to be lost: `site=NAME` or node=PEERID")
	return cmd
}

// durabilityWithout shows the report and what the loss of a site or node would do.
func (a *adminCommand) durabilityWithout(ctx context.Context, kind, name string) error {
	client, members, err := a.members(ctx)
	if err != nil {
		return err
	}
	var body any
	method := http.MethodGet
	if kind == "node" {
		m, err := matchMember(members, name)
		if err != nil {
			return err
		}
		name = m.PeerID
	} else {
		if err := knownSite(members, name); err != nil {
			return err
		}
		method, body = http.MethodPost, api.DurabilityQuery{LostSite: name}
	}
	d, err := fetch[api.Durability](ctx, client, method, durabilityPath, body)
	if err != nil {
		return err
	}
	return show(a, d, func(w *tabwriter.Writer, d api.Durability) {
		showDurability(w, d)
		row(w)
		row(w, whatIfLine(&d, kind, name))
	})
}

func knownSite(members []api.Member, name string) error {
	for i := range members {
		if members[i].Site == name {
			return nil
		}
	}
	return fmt.Errorf("no member stands in site %q: see shoal admin members", name)
}

func showDurability(w *tabwriter.Writer, d api.Durability) {
	row(w, "stripes", stripes(d.Stripes, d.Bytes))
	row(w, "checked", when(d.Checked))
	row(w, "by nodes", d.Nodes)
	complete := yesNo(d.Complete)
	if !d.Complete {
		complete += ": nodes are still checking, or do not answer"
	}
	row(w, "complete", complete)
	if d.Counting {
		row(w, "counts", "being counted: stripes that move may be missing or counted twice")
	}
	row(w, "groups", fmt.Sprintf("%d of %d compared with the drives", d.Compared, d.Groups))
	row(w, "below promise", affected(&d.BelowPromise))
	if d.Unhealed > 0 {
		row(w, "unhealed", fmt.Sprintf("%d stripes since they were last looked at", d.Unhealed))
	}
	row(w, "unreadable", affected(&d.Unreadable))
	row(w, "gone", affected(&d.Gone))
	showLost(w, &d)
	if len(d.Tolerance) > 0 {
		row(w)
		row(w, "SURVIVES THE LOSS OF", "STRIPES", "BYTES")
		for _, by := range []struct {
			what string
			list []api.Tolerance
		}{{"drives", d.Tolerance}, {"nodes", d.ToleranceNodes}, {"sites", d.ToleranceSites}} {
			for _, t := range by.list {
				row(w, fmt.Sprintf("%d more %s", t.Tolerates, by.what), t.Stripes, formatSize(t.Bytes))
			}
		}
		row(w, "Objects without stripes are not counted: small ones lie in the metadata, whose groups survive as long as most of their voters do (shoal admin groups).")
	}
	if len(d.Profiles) > 1 {
		row(w)
		row(w, "CODED AS", "STRIPES", "BYTES")
		for _, p := range d.Profiles {
			row(w, p.Profile, p.Stripes, formatSize(p.Bytes))
		}
	}
	if len(d.IfLost) > 0 {
		row(w)
		row(w, "UNREADABLE IF LOST", "STRIPES", "BYTES")
		for _, l := range d.IfLost {
			name := l.Name
			if l.Kind == "node" {
				name = shortPeer(name)
			}
			row(w, l.Kind+" "+name, l.Stripes, formatSize(l.Bytes))
		}
	}
}

// showLost names objects that cannot be read.
func showLost(w *tabwriter.Writer, d *api.Durability) {
	if len(d.Lost) == 0 {
		return
	}
	row(w)
	row(w, "CANNOT BE READ", "VERSION", "KEY")
	for _, v := range d.Lost {
		version := v.Version
		if v.Upload {
			version = "upload " + version
		}
		row(w, v.Bucket, version, strconv.Quote(v.Key))
	}
	if more := d.Unreadable.Versions - int64(len(d.Lost)); more > 0 {
		row(w, fmt.Sprintf("and %d more", more))
	}
}

func stripes(n, bytes int64) string { return fmt.Sprintf("%d (%s)", n, formatSize(bytes)) }

func affected(a *api.Affected) string {
	if a.Stripes == 0 {
		return "none"
	}
	least := ""
	if a.AtLeast {
		least = "at least "
	}
	return fmt.Sprintf("%s, of %s%d versions", stripes(a.Stripes, a.Bytes), least, a.Versions)
}

// whatIfLine says what the loss would do. Of a node it is known what would become unreadable.
func whatIfLine(d *api.Durability, kind, name string) string {
	if w := d.WhatIf; w != nil && kind == "site" {
		return fmt.Sprintf("If site %s were lost, unreadable: %s; below promise: %s.", name, affected(&w.Unreadable), affected(&w.BelowPromise))
	}
	for _, l := range d.IfLost {
		if l.Kind == kind && l.Name == name {
			return fmt.Sprintf("If %s %s were lost, %s more stripes would be unreadable.", kind, name, stripes(l.Stripes, l.Bytes))
		}
	}
	if !d.Complete {
		return fmt.Sprintf("Whether everything would be readable if %s %s were lost is not known yet.", kind, name)
	}
	return fmt.Sprintf("If %s %s were lost, everything that is readable now would stay so.", kind, name)
}
