from tests.simulation.world import World
from tests.support.virtual import virtual


@virtual(seeds=5)
async def test_smoke(world: World) -> None:
    a, b = world.client("a"), world.client("b")
    await a.start()
    await b.start()
    await world.until(lambda: bool(world.leaders), within=1.0)
    first = world.leaders[0]
    other = b if first is a else a
    print("maintains", await world.until(lambda: first.maintains, within=5.0))
    await world.sleep(30)
    world.partition(first.name)
    print("takeover", await world.until(lambda: other.maintains, within=22.0))
    await world.sleep(30)
    world.heal(first.name)
    await world.sleep(30)
    print("stop", await world.until(lambda: True, within=1))
    await other.stop()
    print("takeover", await world.until(lambda: first.maintains, within=7.0))
    await first.stop()
    print(world.loop.steps, world.now, [(round(c.at,3), c.what, c.client) for c in world.server.log if c.what not in ('renewed','fenced')])
    print(len([c for c in world.server.log if c.what=='fenced']), world.loop.problems, world.loop.alive(first.owner))
