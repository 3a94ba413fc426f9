package meta

import "shoal/node/api"

// Err is nil for a success and an *api.Error otherwise. op names the caller.
func (r *Result) Err(op string) error { return codeError(r.GetCode(), r.GetDetail(), op) }

// Err is nil for a success and an *api.Error otherwise. op names the caller.
func (a *Answer) Err(op string) error { return codeError(a.GetCode(), a.GetDetail(), op) }

// Err is nil for a success and an *api.Error otherwise. op names the caller.
func (d *Deleted) Err(op string) error { return codeError(d.GetCode(), d.GetDetail(), op) }

func codeError(code uint32, detail, op string) error {
	if code == 0 {
		return nil
	}
	kind, _ := api.KindFromWire(code)
	return &api.Error{Kind: kind, Op: op, Detail: detail}
}

func codeOf(k api.Kind) uint32 { return (&api.Error{Kind: k}).WireCode() }

// refuse makes the result of a command that is not carried out.
func refuse(k api.Kind, detail string) *Result { return &Result{Code: codeOf(k), Detail: detail} }

func invalid(detail string) *Result { return refuse(api.InvalidArgument, detail) }

// asError turns a refusal into the error of a typed read.
func asError(r *Result, op string) error {
	if r == nil {
		return nil
	}
	return r.Err(op)
}
