"Plots of made-up studies: they are drawn, and say why they are empty."
import re

import numpy as np
import pytest

from imgcls.core import luminance
from imgcls.pictures import _channels
from imgcls.studies import plots as P
from imgcls.studies.made_up import made_up_study

NET = 'efficientnet_lite0'
PLOTS = P.plot_epochs, P.plot_learning_curve, P.plot_loss, P.plot_rates


def study(sizes=(50, 1000), **kw):
    return made_up_study({(NET, 'frozen', size): [.6, .7, .8] for size in sizes}, **kw)


def texts(fig): return {t.get_text() for ax in fig.axes for t in ax.texts}


@pytest.mark.parametrize('plot', PLOTS)
def test_a_study_without_runs_gives_a_picture_that_says_so(plot):
    fig = plot(made_up_study({}))
    assert fig._repr_png_().startswith(b'\x89PNG') and len(texts(fig)) == 1


@pytest.mark.parametrize('plot', PLOTS)
@pytest.mark.parametrize('sizes', [(50,), ('all',), (50, 1000, 'all')])
def test_plots_of_few_and_many_sizes(plot, sizes):
    assert plot(study(sizes))._repr_png_().startswith(b'\x89PNG')


@pytest.mark.parametrize('plot', PLOTS)
def test_a_plot_follows_light_and_dark_and_is_the_same_twice(plot):
    svg, again = plot(study())._repr_svg_(), plot(study())._repr_svg_()
    style, drawn = re.search('<style>(.*?)</style>(.*)', svg, re.S).groups()
    used = {*re.findall(r'var\(--c([0-9a-f]{6}),', drawn)}
    dark = dict(re.findall(r'--c(\w+):(#\w+);', style))
    assert svg == again and used <= dark.keys() and not re.findall('[:"]#[0-9a-f]{6}', drawn)
    assert dark['ffffff'] == '#14181e' and luminance(_channels(dark['1f2328'])) > .7


def test_lines_are_labelled_where_they_end():
    ax, = P.plot_epochs(study()).axes
    assert [t.get_text() for t in ax.texts] == ['50', '1,000']
    assert [t.get_color() for t in ax.texts] == [line.get_color() for line in ax.lines]


def test_a_panel_for_each_recipe():
    recipes = 'frozen', 'fastai', 'scratch'
    st = made_up_study({(NET, r, n): [.6, .7] for r in recipes for n in (20, 100)}, seeds=2)
    shown = [ax for ax in P.plot_epochs(st).axes if ax.axison]
    assert [ax.get_title('left') for ax in shown] == ['frozen', 'fastai', 'scratch']  # as they were asked for
    ax, = P.plot_learning_curve(st).axes
    assert {t.get_text() for t in ax.texts} == set(recipes)


def test_the_learning_curve_has_a_tick_for_each_size():
    ax, = P.plot_learning_curve(study((50, 1000, 'all'), most=4000)).axes
    assert [t.get_text() for t in ax.get_xticklabels()] == ['50', '1,000', 'all\n(4,000)']
    assert ax.get_xscale() == 'log'


def test_losses_that_are_nan_are_left_out():
    st = study()
    st.epochs[['train_loss', 'valid_loss', 'accuracy', 'train_accuracy']] = np.nan
    st.runs['accuracy'] = np.nan
    assert texts(P.plot_loss(st)) == {'no losses were kept'}
    for plot in PLOTS: plot(st)._repr_png_()


@pytest.mark.parametrize('name', ['a', 'head:momentum=0:lr=0.01', 'x'*60])
def test_the_legend_of_losses_fits_into_the_picture(name):
    st = made_up_study({('deer', name + str(i), 10): [.5, .6] for i in range(5)})
    fig = P.plot_loss(st)
    fig.draw_without_rendering()
    assert fig.legends[0].get_window_extent().x1 <= fig.bbox.x1


def test_sizes_with_the_same_schedule_share_a_line():
    st = study()
    assert texts(P.plot_rates(st)) == {'all sizes'}
    probs, rates = st.kept[st.runs.run[0]]
    st.kept[st.runs.run[0]] = probs, np.linspace(1e-3, 2e-3, len(rates))
    assert texts(P.plot_rates(st)) == {'50', '1,000'}
    for run in st.kept: st.kept[run] = probs, np.zeros(0)
    assert texts(P.plot_rates(st)) == {'no learning rates were kept'}


def test_names_are_no_formulas():
    st = made_up_study({(NET, '$x$', 20): [.7, .8], (NET, '$\\frac', 20): [.7, .8]})
    for plot in PLOTS: plot(st)._repr_png_()
