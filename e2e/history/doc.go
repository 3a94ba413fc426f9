// Package history records what clients asked of a store and what they were told, and
// checks that some order of the requests, each within its time, explains every answer.
//
// A request whose answer was lost is recorded as unknown: it may have happened or not, at
// any moment until it is certain that nothing of it is under way any more.
package history
