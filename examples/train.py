"""Train a glimpse agent from a script, look at its errors, and load it again.

python examples/train.py --steps 4000
"""

import argparse

import gymnasium

import glimpse.envs
from glimpse.agents import Agent, ReinforceConfig, load, reinforce, save
from glimpse.callbacks import ProgressBar
from glimpse.loop import train
from glimpse.run_folder import RunFolder

gymnasium.register_envs(glimpse.envs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000, help="batches to learn from")
    parser.add_argument("--run", default="runs/example", help="folder for the agent")
    options = parser.parse_args()

    config = ReinforceConfig(steps=options.steps)
    env = gymnasium.make_vec("glimpse/Digits-v0", num_envs=config.batch)
    agent = Agent.for_batch(config, env.core)
    with ProgressBar() as bar:
        train(reinforce(config, env.core, agent.model), config.steps, [bar])

    errors = agent.evaluate(env.core, "test").mean
    for number, error in enumerate(errors, start=1):
        print(f"test error after glimpse {number}: {error}")

    run = RunFolder.create(options.run)
    save(agent, run)
    image = env.core.pixels(0)  # what the first row has just looked at
    print(f"one image again: {load(options.run).predict(image[None]).probabilities[0, -1]}")


if __name__ == "__main__":
    main()
