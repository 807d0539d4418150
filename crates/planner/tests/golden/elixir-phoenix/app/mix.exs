defmodule Shop.MixProject do
  use Mix.Project

  def project do
    [app: :shop, version: "1.0.0", elixir: "~> 1.18", deps: deps(), aliases: aliases()]
  end

  def application do
    [mod: {Shop.Application, []}]
  end

  defp deps do
    [{:phoenix, "~> 1.8"}, {:bandit, "~> 1.8"}]
  end

  defp aliases do
    ["assets.deploy": ["phx.digest"]]
  end
end
