"""All mutants: the weaknesses of River that ours must not have, and bugs that River had once."""

from tests.mutants.elections import ELECTIONS
from tests.mutants.founding import FOUNDING
from tests.mutants.history import HISTORY
from tests.mutants.lifecycles import LIFECYCLES
from tests.mutants.maintenance import MAINTENANCE
from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*ELECTIONS, *LIFECYCLES, *MAINTENANCE, *FOUNDING, *HISTORY)
