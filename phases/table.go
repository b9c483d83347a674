// Package phases is the policy of an appliance: which states there are, what is done in each, and what happens then. How
// a state is entered and remembered is internal/machine's business.
package phases

import "appliance/internal/machine"

// The states of an appliance.
const (
	Boot             machine.State = "boot"
	PrepareEnv       machine.State = "prepare-env"
	PrepareAppliance machine.State = "prepare-appliance"
	PrepareECS       machine.State = "prepare-ecs"
	Run              machine.State = "run"
	Cleanup          machine.State = "cleanup"
	Update           machine.State = "update"
	Standby          machine.State = "standby"
	Failed           machine.State = "failed"
)

// The events that lead from one to the next.
const (
	Start  machine.Event = "start"
	Done   machine.Event = "done"
	Hold   machine.Event = "hold"   // the environment says standby
	Clean  machine.Event = "clean"  // a good start leaves things behind
	Reload machine.Event = "reload" // somebody asks to walk again
	Due    machine.Event = "due"    // it is time for an update
	Reboot machine.Event = "reboot" // the host must boot before the walk goes on
	Fail   machine.Event = "fail"
	Clear  machine.Event = "clear" // somebody removed the failed flag
)

// Table is the life of an appliance.
var Table = []machine.Transition{
	{On: Start, From: []machine.State{Boot, Standby}, To: PrepareEnv},
	{On: Done, From: []machine.State{PrepareEnv}, To: PrepareAppliance},
	{On: Done, From: []machine.State{PrepareAppliance}, To: PrepareECS},
	{On: Done, From: []machine.State{PrepareECS}, To: Run},
	{On: Clean, From: []machine.State{Run}, To: Cleanup},
	{On: Done, From: []machine.State{Cleanup}, To: Run},
	{On: Due, From: []machine.State{Run}, To: Update},
	{On: Done, From: []machine.State{Update}, To: PrepareEnv},
	{On: Reboot, From: []machine.State{PrepareAppliance, Update}, To: Boot},
	{On: Reload, From: []machine.State{Run, Cleanup}, To: PrepareEnv},
	{On: Hold, From: []machine.State{PrepareEnv, PrepareAppliance, PrepareECS}, To: Standby},
	{On: Fail, From: []machine.State{Boot, PrepareEnv, PrepareAppliance, PrepareECS, Run, Cleanup, Update, Standby}, To: Failed},
	{On: Clear, From: []machine.State{Failed}, To: PrepareEnv},
}

// Attempts is how often a state may be entered without getting through before the appliance counts as failed: enough for
// a night of flickering power, and few enough that a machine does not wear itself out.
const Attempts = 10

// resume says where the life goes on after a restart of the process or the host: every walk begins anew, because its
// steps do nothing where nothing is to do, but a failure waits for a person.
func resume(rec machine.Record) machine.Event {
	if rec.State == Failed {
		return Fail
	}
	return Start
}
