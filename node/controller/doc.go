// Package controller keeps a cluster as it should be: it runs on the node that leads the system group, gives every metadata group as
// many voters as the number of nodes allows, on nodes that fail apart from each other, spreads leaderships, replaces what died or
// leaves, and makes a new placement epoch when drives come or go.
//
// Core is a pure function of what is known (Snapshot) to what is to be done (Plan); it remembers nothing but the actions that are
// under way and those that failed a moment ago. Everything else is read from the groups' own memberships at each step, so that the
// controller of a new leader goes on where the old one stopped. Driver feeds it.
//
// What holds at all times:
//
//   - No change leaves a group without a majority of voters that are alive, and none is tried when there is no such majority.
//   - A group has one change under way at most, and a node receives replicas of two groups at most.
//   - A replica becomes a voter when it has caught up, and a voter is replaced in one joint change, so that a group never has fewer
//     voters than before for the sake of a replacement.
//   - A replica ID is never given out twice, and a replica is destroyed only when its group has counted past its ID without it.
//   - A node that is merely dead keeps its drives in the placement. It is given up (lost) after a time, and only while the dead are
//     so few that what they hold can be rebuilt.
//
// It deliberately does not recover groups that lost their majority, move shards, or decide who is a member.
package controller
