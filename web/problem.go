package web

import (
	"context"
	"regexp"

	"guichet/web/view"
)

// problems are the sentences with which the journal says why a delivery cannot be
// used, and the keys of the words for a page. The journal keeps the sentence: it is
// sealed with the rest of its line, and read by programs too.
var problems = []struct {
	says *regexp.Regexp
	key  string
}{
	{regexp.MustCompile(`^it comes from the environment "(.*)"$`), "problem.environment"},
	{regexp.MustCompile(`^not an object$`), "problem.not_an_object"},
	{regexp.MustCompile(`^more than (\d+) levels$`), "problem.too_deep"},
	{regexp.MustCompile(`^no event name$`), "problem.no_event"},
	{regexp.MustCompile(`^fired_at is not a number of seconds$`), "problem.no_instant"},
	{regexp.MustCompile(`^fired_at is in the future$`), "problem.future"},
	{regexp.MustCompile(`^"?(.*?)"? is a list of something else than objects$`), "problem.not_objects"},
	{regexp.MustCompile(`^no usable request number$`), "problem.no_number"},
	{regexp.MustCompile(`^no data\.pass\.id$`), "problem.no_number"},
	{regexp.MustCompile(`^no applicant with a valid e-mail$`), "problem.no_applicant"},
	{regexp.MustCompile(`^revoked is neither true nor false$`), "problem.no_truth"},
}

// problemOfDelivery says why a delivery cannot be used. What a library found in a
// body that is not JSON stays in its words.
func problemOfDelivery(ctx context.Context, says string, refused bool) string {
	for _, p := range problems {
		if found := p.says.FindStringSubmatch(says); found != nil {
			return view.Say(ctx, p.key, "About", found[len(found)-1])
		}
	}
	if refused {
		return view.Say(ctx, "problem.not_json", "About", says)
	}
	return says
}
