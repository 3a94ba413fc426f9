package sim

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

// register is an object as clients see it: an ETag, "" for none.
var register = porcupine.Model{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		parts := map[place][]porcupine.Operation{}
		var order []place
		for _, op := range ops {
			at := op.Input.(registerOp).at
			if parts[at] == nil {
				order = append(order, at)
			}
			parts[at] = append(parts[at], op)
		}
		var out [][]porcupine.Operation
		for _, at := range order {
			out = append(out, parts[at])
		}
		return out
	},
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		now, i, o := state.(string), in.(registerOp), out.(registerResult)
		if i.kind == getOp {
			return o.etag == now, now
		}
		holds := !(i.ifNone && now != "") && (i.ifMatch == "" || i.ifMatch == now)
		next := i.etag
		if i.kind == deleteOp {
			next = ""
		}
		switch {
		case o.unknown && !holds:
			return true, now
		case o.unknown:
			return true, next
		case o.refused:
			return !holds, now
		}
		return holds, next
	},
	Equal: func(a, b any) bool { return a == b },
}

// linearizable checks that some order of all calls explains every answer.
func (c *checker) linearizable() {
	switch porcupine.CheckOperationsTimeout(register, c.history, 20*time.Second) {
	case porcupine.Illegal:
		text := ""
		for _, part := range register.Partition(c.history) {
			if porcupine.CheckOperations(register, part) {
				continue
			}
			for _, op := range part {
				text += fmt.Sprintf("\n%d to %d: %+v: %+v", op.Call, op.Return, op.Input, op.Output)
			}
		}
		c.w.failf("no order explains what clients were told:%s", text)
	case porcupine.Unknown:
		c.w.counts["undecided"]++
	}
}
