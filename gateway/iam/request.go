package iam

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"shoal/acl"
	"shoal/gateway/edge"
	"shoal/node/api"
)

// requestKeysHint is the number of condition keys that a request usually has.
const requestKeysHint = 24

// RequestKeys are the condition keys that every request has, whatever is asked for: who asks, when, from where
// and how (IAM User Guide, "AWS global condition context keys").
func RequestKeys(r *http.Request, by *Caller, region string, now time.Time) map[string][]string {
	q := acl.Request{Keys: make(map[string][]string, requestKeysHint)}
	q.SetPrincipal(&by.Principal)
	q.SetTime(now)
	k := q.Keys
	if by.Session != nil {
		k["aws:tokenissuetime"] = []string{by.Session.Issued.UTC().Format(time.RFC3339)}
	}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		k["aws:sourceip"] = []string{at.Addr().Unmap().WithZone("").String()}
	}
	k["aws:securetransport"] = []string{strconv.FormatBool(edge.Secure(r))}
	k["aws:requestedregion"] = []string{region}
	k["aws:resourceaccount"] = []string{api.Account}
	for _, h := range [...]struct{ header, key string }{{"User-Agent", "aws:useragent"}, {"Referer", "aws:referer"}} {
		if v := r.Header[h.header]; len(v) > 0 && v[0] != "" {
			k[h.key] = v[:1:1]
		}
	}
	return k
}
