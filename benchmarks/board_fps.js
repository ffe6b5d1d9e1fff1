// Runs in the browser: charts that change, and how long each frame took.
async ({ charts, points, seconds, every }) => {
  const { chart } = await import("/static/charts.js");
  const root = document.getElementById("page");
  const lines = [{ label: "counted" }, { label: "so far", points: true, like: 0 }, { label: "last week", dash: [5, 5], like: 1 }];
  const numbers = [...Array(points).keys()];
  const all = [...Array(charts).keys()].map((n) =>
    chart({ title: `KPI ${n}`, lines, band: true, height: 150, legend: false, t: (key) => key }));
  root.replaceChildren(...all.map((one) => one.root));

  function draw(step) {
    all.forEach((one, n) => {
      const values = numbers.map((i) => 100 + 40 * Math.sin((i + step) / 60 + n) + 10 * Math.sin((i + step) * 7 + n));
      const shifted = (by) => values.map((value) => value + by);
      const soFar = values.map((value, i) => (i === points - 1 ? value : null));
      one.draw([numbers.map((i) => 300 * (i + step)), values, soFar, shifted(-5), shifted(-30), shifted(30)]);
    });
  }

  draw(0);
  await new Promise((done) => setTimeout(done, 500));
  const frames = [];
  let [step, drawn] = [0, 0];
  const began = performance.now();
  let before = began;
  return new Promise((done) => {
    function frame(now) {
      frames.push(now - before);
      before = now;
      if (now - drawn >= every) {
        draw(++step);
        drawn = now;
      }
      if (now - began < seconds * 1000) return void requestAnimationFrame(frame);
      for (const one of all) one.close();
      done({ frames: frames.slice(1), steps: step });
    }
    requestAnimationFrame(frame);
  });
}
