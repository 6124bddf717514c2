package change

// WaitArgument is embedded by the In of a change that takes a while.
type WaitArgument struct {
	Wait *int `json:"wait,omitzero" min:"0" jsonschema:"seconds; default 20"`
}

func (w WaitArgument) wait() *int { return w.Wait }

// TimeoutArgument is embedded by the In of a change that is over in seconds.
type TimeoutArgument struct {
	Timeout *int `json:"timeout,omitzero" min:"1" jsonschema:"seconds; default 20"`
}

func (t TimeoutArgument) wait() *int { return t.Timeout }

// TransferArgument is embedded by the In of a change that moves a file within the call.
type TransferArgument struct {
	Timeout int `json:"timeout,omitzero" min:"1" max:"86400" default:"600" jsonschema:"seconds for all of it"`
}

func (t TransferArgument) wait() *int { return nil }

// ConfirmArgument is embedded by the In of a change that may be destructive.
type ConfirmArgument struct {
	Confirm bool `json:"confirm,omitzero" jsonschema:"the user agreed"`
}

func (c ConfirmArgument) isConfirmed() bool { return c.Confirm }

// AskUserArgument is embedded by the In of a change that may need secrets.
type AskUserArgument struct {
	AskUser []string `json:"ask_user,omitzero" jsonschema:"secrets that the user types, unseen by you"`
}

func (a AskUserArgument) secretsToType() []string { return a.AskUser }

// secretsToType are the secrets that the person has to type, by name.
func secretsToType(in any) []string {
	a, ok := in.(interface{ secretsToType() []string })
	if !ok {
		return nil
	}
	return a.secretsToType()
}

// PlanArguments is embedded by the In of a change whose plan can be had without doing it.
type PlanArguments struct {
	Plan       bool   `json:"plan,omitzero" jsonschema:"plan only"`
	PlanHandle string `json:"plan_handle,omitzero" jsonschema:"do that plan; alone"`
}

func (p PlanArguments) wantsPlan() bool { return p.Plan }

// planner is an In that embeds [PlanArguments].
type planner interface{ wantsPlan() bool }

func wantsPlan(in any) bool {
	p, ok := in.(planner)
	return ok && p.wantsPlan()
}

func isConfirmed(in any) bool {
	c, ok := in.(interface{ isConfirmed() bool })
	return ok && c.isConfirmed()
}

// sharedArguments are those of a call with a plan that do not belong to the plan.
var sharedArguments = []string{"plan", "plan_handle", "confirm", "wait", "timeout"}
